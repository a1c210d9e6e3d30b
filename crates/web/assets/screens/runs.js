// Runs of one experiment or of all: the parameters that vary and the metrics, sortable and filterable.

import { h } from '../dom.js';
import { get } from '../api.js';
import { count, duration, fixed } from '../format.js';
import { badge, empty, link, when } from '../words.js';

const MOST = 6;

export const title = () => 'Runs';

export async function load({ params }) {
  const [{ experiments }, { runs }] = await Promise.all([get('/experiments'), get(`/runs?limit=500${params.experiment ? `&experiment_id=${encodeURIComponent(params.experiment)}` : ''}`)]);
  return { experiments, runs };
}

export function view({ experiments, runs }, at) {
  const here = at.params.experiment ?? null;
  const words = (at.query.get('q') ?? '').toLowerCase();
  const matching = sorted(runs.filter((run) => matches(run, words)), at.query.get('sort'), at.query.get('down') !== null);
  return [
    h('h1', null, 'Runs'),
    h('p', { class: 'lead' }, words ? `${count(matching.length)} of ${count(runs.length)} runs match.` : `${count(runs.length)} runs${runs.length === 500 ? ' (the newest)' : ''}.`),
    h('nav', { class: 'chips', 'aria-label': 'Experiments' },
      h('a', { href: '#/runs', 'aria-current': here === null ? 'true' : null }, 'all experiments'),
      experiments.map((experiment) => h('a', { href: `#/experiments/${experiment.experiment_id}`, 'aria-current': here === experiment.experiment_id ? 'true' : null }, experiment.name))),
    runs.length
      ? [h('p', null, h('input', { type: 'search', placeholder: 'Filter by name, parameter, tag…  ( / )', 'aria-label': 'Filter', value: at.query.get('q') ?? '', oninput: (event) => go(at, { q: event.target.value }) })), table(matching, at)]
      : empty('No run here', 'Log one with the stock MLflow client.', `import mlflow\nmlflow.set_tracking_uri("${location.origin}")\nwith mlflow.start_run():\n    mlflow.log_param("depth", 4)\n    mlflow.log_metric("val_mae", 3.2)`),
  ];
}

function matches(run, words) {
  if (!words) return true;
  const pairs = [...Object.entries(run.params), ...Object.entries(run.tags)].map(([name, value]) => `${name}=${value}`);
  return [run.name, run.run_id, run.status, ...pairs].join(' ').toLowerCase().includes(words);
}

function sorted(runs, by, down) {
  if (!by) return runs;
  const [group, ...rest] = by.split('.');
  const value = (run) => {
    const raw = rest.length ? run[group]?.[rest.join('.')] : run[group];
    return raw !== undefined && raw !== null && raw !== '' && !Number.isNaN(Number(raw)) ? Number(raw) : raw;
  };
  const order = (a, b) => (a === b ? 0 : a === undefined || a === null ? 1 : b === undefined || b === null ? -1 : (a < b ? -1 : 1) * (down ? -1 : 1));
  return runs.toSorted((a, b) => order(value(a), value(b)));
}

/** The address changes without a new entry in the browser's history at every letter. */
function go(at, change) {
  const query = new URLSearchParams(at.query);
  for (const [name, value] of Object.entries(change)) value ? query.set(name, value) : query.delete(name);
  history.replaceState(null, '', `#/${at.path}${query.size ? `?${query}` : ''}`);
  dispatchEvent(new HashChangeEvent('hashchange'));
}

/** Parameters that differ between the runs first; a column that says the same everywhere says nothing. */
function columns(runs, group, vary) {
  const values = new Map();
  for (const run of runs) for (const [name, value] of Object.entries(run[group])) values.set(name, (values.get(name) ?? new Map()).set(value, 1));
  const names = [...values].filter(([, different]) => !vary || runs.length === 1 || different.size > 1).map(([name]) => name);
  return names.sort().slice(0, MOST);
}

function table(runs, at) {
  const [params, metrics] = [columns(runs, 'params', true), columns(runs, 'metrics', false)];
  const by = at.query.get('sort');
  const down = at.query.get('down') !== null;
  const head = (name, key, numeric) => h('th', { scope: 'col', class: numeric ? 'number' : null, 'aria-sort': by === key ? (down ? 'descending' : 'ascending') : null },
    h('button', { type: 'button', onclick: () => go(at, { sort: key, down: by === key && !down ? '1' : '' }) }, name, by === key ? (down ? ' ↓' : ' ↑') : ''));
  return h('div', { class: 'card flush' }, h('table', null,
    h('thead', null, h('tr', null, head('Run', 'name'), head('Status', 'status'), head('Started', 'start_ms'), h('th', { scope: 'col', class: 'number' }, 'Took'),
      params.map((name) => head(name, `params.${name}`)), metrics.map((name) => head(name, `metrics.${name}`, true)))),
    h('tbody', null, runs.map((run) => h('tr', { 'data-key': run.run_id },
      h('td', null, link(`runs/${run.run_id}`, run.name || run.run_id.slice(0, 8))),
      h('td', null, badge(run.status)),
      h('td', null, run.start_ms ? when(run.start_ms * 1000) : '–'),
      h('td', { class: 'number' }, run.end_ms ? duration((run.end_ms - run.start_ms) * 1000) : '–'),
      params.map((name) => h('td', { class: 'mono' }, run.params[name] ?? '')),
      metrics.map((name) => h('td', { class: 'number', title: run.metrics[name] }, run.metrics[name] === undefined ? '' : fixed(run.metrics[name]))))))));
}
