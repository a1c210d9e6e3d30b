// Pipelines, their runs, the steps of a run over time, and the log of a step.

import { h, s } from '../dom.js';
import { get, segment, text } from '../api.js';
import { duration } from '../format.js';
import { badge, empty, link, marked, when } from '../words.js';

const TAIL = 20_000;

export const title = ({ params }) => params.name ?? 'Pipelines';

export async function load({ params, query }) {
  const { pipelines } = await get('/pipelines');
  const name = params.name ?? pipelines[0]?.name ?? null;
  if (!name) return { pipelines, name };
  const { runs } = await get(`/pipelines/${segment(name)}/runs?limit=50`);
  const run = runs.find((one) => one.id === query.get('run')) ?? runs[0] ?? null;
  const step = run?.steps.find((one) => one.name === query.get('step')) ?? run?.steps.find((one) => ['running', 'failed'].includes(one.state)) ?? run?.steps.at(-1) ?? null;
  const log = step ? await text(`/pipeline-runs/${segment(run.id)}/steps/${segment(step.name)}/log`).catch(() => '') : '';
  return { pipelines, name, runs, run, step: step?.name ?? null, log: log.slice(-TAIL) };
}

export function view({ pipelines, name, runs, run, step, log }) {
  if (!name) {
    return [h('h1', null, 'Pipelines'), empty('No pipeline yet', 'A pipeline is a pipeline.toml: steps, what they depend on, and what starts them (a person, the clock, data, an alert).',
      '[[step]]\nname = "train"\nrun = "python train.py"\n\n[[trigger]]\nkind = "alert"')];
  }
  return [
    h('h1', null, 'Pipelines'),
    h('p', { class: 'lead' }, 'What retrains the models, and what each run of it did.'),
    h('nav', { class: 'chips', 'aria-label': 'Pipelines' }, pipelines.map((one) => h('a', { href: `#/pipelines/${segment(one.name)}`, 'aria-current': one.name === name ? 'true' : null }, one.name))),
    runs.length ? [
      run && h('section', { class: 'card', 'data-key': run.id },
        h('div', { class: 'row between' }, h('h3', null, `Run ${run.id.slice(-8)}`), badge(run.state)),
        h('p', { class: 'quiet' }, reason(run)),
        run.error && h('p', { class: 'alert-line' }, h('span', null, marked(run.error))),
        gantt(run, name, step)),
      step && h('section', { class: 'card' }, h('h3', null, `Log of ${step}`), h('pre', { class: 'log', tabindex: '0' }, log || 'nothing printed')),
      h('h2', null, 'Runs'), table(runs, name, run),
    ] : h('div', { class: 'card' }, h('p', null, 'It has not run yet.'), h('pre', null, `rondo pipeline run ${name}`)),
  ];
}

const reason = (run) => [run.trigger, run.reason ? [': ', marked(run.reason)] : ''];

function table(runs, name, chosen) {
  return h('div', { class: 'card flush' }, h('table', null,
    h('thead', null, h('tr', null, ['Run', 'State', 'Why', 'Steps', 'Started'].map((one) => h('th', { scope: 'col' }, one)), h('th', { scope: 'col', class: 'number' }, 'Took'))),
    h('tbody', null, runs.map((run) => h('tr', { 'data-key': run.id, 'aria-selected': run.id === chosen?.id ? 'true' : null },
      h('td', { class: 'mono' }, link(`pipelines/${segment(name)}?run=${segment(run.id)}`, run.id.slice(-8))),
      h('td', null, badge(run.state)),
      h('td', { class: 'wrap' }, reason(run)),
      h('td', null, h('span', { class: 'tags' }, run.steps.map((step) => badge(step.state, step.name)))),
      h('td', null, run.started_us ? when(run.started_us) : '–'),
      h('td', { class: 'number' }, run.started_us && run.ended_us ? duration(run.ended_us - run.started_us) : '–'))))));
}

/** Steps over time; a step that was skipped has no length. */
function gantt(run, pipeline, chosen) {
  const now = run.ended_us ?? Date.now() * 1000;
  const start = run.started_us ?? now;
  const whole = Math.max(now - start, 1);
  const [left, width, high] = [120, 960, 28];
  const x = (at) => left + Math.min(1, Math.max(0, (at - start) / whole)) * (width - left - 170);
  return s('svg', { class: 'chart', viewBox: `0 0 ${width} ${high * run.steps.length + 4}`, role: 'group', 'aria-label': 'Steps over time' },
    run.steps.map((step, row) => {
      const y = high * row + 4;
      const from = x(step.started_us ?? step.ended_us ?? start);
      const until = x(step.ended_us ?? (step.state === 'running' ? now : step.started_us ?? start));
      const took = step.started_us && (step.ended_us || step.state === 'running') ? duration((step.ended_us ?? now) - step.started_us) : '';
      return s('a', { href: `#/pipelines/${segment(pipeline)}?run=${segment(run.id)}&step=${segment(step.name)}`, 'aria-label': `${step.name}, ${step.state}, ${took}` },
        s('text', { class: step.name === chosen ? 'strong' : '', x: left - 12, y: y + 15, 'text-anchor': 'end' }, step.name),
        s('line', { class: 'axis', x1: left, x2: width - 170, y1: y + 11, y2: y + 11 }),
        s('rect', { class: `gantt-bar ${step.state}`, x: from, y: y + 3, width: Math.max(4, until - from), height: 16 }),
        s('text', { x: Math.max(from + 4, until) + 8, y: y + 15 }, `${step.state}${step.attempt > 1 ? ` (attempt ${step.attempt})` : ''}${took ? `, ${took}` : ''}`));
    }));
}
