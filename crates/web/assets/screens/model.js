// A model: its versions, the verdicts as a forest of intervals, and its whole story.

import { h } from '../dom.js';
import { get, post, segment } from '../api.js';
import { count, duration, metricName, signed } from '../format.js';
import { badge, evidence, link, story, undecided, when } from '../words.js';
import { interval, range } from '../charts.js';

export const title = ({ params }) => params.name;

export async function load({ params }) {
  const path = `/models/${segment(params.name)}`;
  const [model, story] = await Promise.all([get(path), get(`${path}/history`)]);
  return { model, events: story.events };
}

export function view({ model, events }, _at, refresh) {
  const production = model.versions.find((version) => version.stage === 'Production');
  return [
    h('div', { class: 'row' }, h('h1', null, model.name), production && badge('production', `version ${production.version} in production`)),
    h('p', { class: 'lead' }, model.description ? `${model.description} ` : '', policy(model.policy)),
    waiting(model, refresh),
    h('h2', null, 'Versions'),
    model.versions.length ? versions(model.versions) : h('p', { class: 'quiet' }, 'No version yet.'),
    h('h2', null, 'Verdicts'),
    model.verdicts.length ? verdicts(model.verdicts) : h('div', { class: 'card' }, h('p', { class: 'quiet' }, 'No version has been evaluated. Ask for one:'), h('pre', null, `rondo model evaluate ${model.name} ${model.versions[0]?.version ?? 'VERSION'}`)),
    h('h2', null, 'Story'),
    h('section', { class: 'card' }, events.length ? story(events) : h('p', { class: 'quiet' }, 'Nothing has happened yet.')),
  ];
}

function policy(policy) {
  if (!policy || policy.mode === 'off') return 'Promotions need no verdict.';
  const need = policy.mode === 'required' ? 'Promotions need a passing verdict' : 'Promotions without a verdict are recorded as unproven';
  const who = policy.approve === 'auto' ? 'a passing verdict promotes by itself' : 'a person approves';
  const margin = policy.margin ? `, worse by at most ${policy.margin}` : '';
  return `${need}; ${who}. Compared by ${policy.metric === 'auto' ? 'the metric that fits the task' : metricName(policy.metric)} on at least ${count(policy.min_rows)} labelled rows of the last ${duration(policy.holdout_us)}${margin}.`;
}

/** What waits for a person. */
function waiting(model, refresh) {
  const open = undecided(model);
  if (!open) return null;
  const decide = (approved) => async ({ target }) => {
    target.disabled = true;
    try {
      await post(`/models/${segment(model.name)}/verdicts/${segment(open.id)}/approve`, { approved });
      refresh();
    } catch (error) {
      target.disabled = false;
      target.closest('.notice').append(h('p', { role: 'alert' }, error.message, error.hint ? ` (${error.hint})` : ''));
    }
  };
  return h('div', { class: 'notice row between' },
    h('span', null, h('b', null, `Version ${open.version} waits for your decision: `), evidence(open), '.'),
    h('span', { class: 'row' },
      h('button', { class: 'action main', type: 'button', onclick: decide(true) }, `Approve for ${open.pointer}`),
      h('button', { class: 'action', type: 'button', onclick: decide(false) }, 'Reject')));
}

function versions(all) {
  return h('div', { class: 'card flush' }, h('table', null,
    h('thead', null, h('tr', null, ['Version', 'Stage', 'Aliases', 'Trained until', 'Run', 'Registered'].map((name) => h('th', { scope: 'col' }, name)))),
    h('tbody', null, all.map((version) => h('tr', { 'data-key': version.version },
      h('td', null, h('b', null, version.version)),
      h('td', null, version.stage && version.stage !== 'None' ? badge(version.stage) : h('span', { class: 'quiet' }, 'none')),
      h('td', null, (version.aliases ?? []).map((alias) => h('span', { class: 'badge' }, `@${alias.alias ?? alias}`))),
      h('td', null, version.trained_until ? String(version.trained_until).slice(0, 10) : '–'),
      h('td', { class: 'mono' }, version.run_id ? link(`runs/${version.run_id}`, version.run_id.slice(0, 8)) : '–'),
      h('td', null, when(version.created_us)))))));
}

function verdicts(all) {
  const metric = all.find((verdict) => verdict.metric)?.metric;
  const scale = range(all.filter((verdict) => verdict.metric === metric));
  return h('div', { class: 'card flush' }, h('table', null,
    h('thead', null, h('tr', null,
      h('th', { scope: 'col' }, 'Candidate'), h('th', { scope: 'col' }, 'Verdict'),
      h('th', { scope: 'col' }, metric ? `${metricName(metric)}: worse ← 0 → better, 95 % interval` : 'Difference'),
      h('th', { scope: 'col', class: 'number' }, 'Difference'), h('th', { scope: 'col', class: 'number' }, 'Rows'), h('th', { scope: 'col' }, 'Approved by'), h('th', { scope: 'col' }, 'When'))),
    h('tbody', null, all.map((verdict) => verdictRow(verdict, metric, scale)))));
}

function verdictRow(verdict, metric, scale) {
  const tone = verdict.passed ? 'good' : 'bad';
  const whole = Number.isFinite(verdict.low) && Number.isFinite(verdict.high);
  const { difference, low, high } = verdict;
  return h('tr', { 'data-key': verdict.id },
    h('td', null, h('b', null, `version ${verdict.version}`), h('div', { class: 'quiet small' }, verdict.champion ? `against ${verdict.champion}` : 'the first')),
    h('td', null, badge(verdict.state)),
    h('td', null, whole ? h('div', { style: { width: '280px' } }, interval(verdict, tone, verdict.metric === metric ? scale : range([verdict]), 280)) : h('span', { class: 'quiet' }, 'nothing to compare with')),
    h('td', { class: 'number', title: whole ? `[${low}, ${high}]` : null }, whole ? [signed(difference, low, high), h('div', { class: 'quiet small' }, verdict.metric !== metric ? metricName(verdict.metric) : `[${signed(low, low, high)}, ${signed(high, low, high)}]`)] : '–'),
    h('td', { class: 'number' }, count(verdict.rows)),
    h('td', null, verdict.approved_by ?? '–'),
    h('td', { title: digests(verdict.digests) }, when(verdict.created_us)));
}

const digests = (all) => Object.entries(all ?? {}).filter(([, digest]) => digest).map(([name, digest]) => `${name} ${digest}`).join('\n') || null;
