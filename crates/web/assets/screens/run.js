// One run: parameters, metrics, tags.

import { h } from '../dom.js';
import { get, segment } from '../api.js';
import { duration, iso, number } from '../format.js';
import { badge, link } from '../words.js';

export const title = (_at, run) => run.name || run.run_id;
export const load = ({ params }) => get(`/runs/${segment(params.id)}`);

export function view(run) {
  const tags = Object.entries(run.tags).filter(([name]) => !name.startsWith('mlflow.log-model'));
  return [
    h('div', { class: 'row' }, h('h1', null, run.name || run.run_id), badge(run.status)),
    h('p', { class: 'lead' }, 'In ', link(`experiments/${run.experiment_id}`, `experiment ${run.experiment_id}`), run.user && ` by ${run.user}`, run.start_ms && `, started ${iso(run.start_ms * 1000)}`, run.end_ms && `, took ${duration((run.end_ms - run.start_ms) * 1000)}`, '.'),
    h('div', { class: 'grid' },
      pairs('Parameters', Object.entries(run.params)),
      pairs('Metrics', Object.entries(run.metrics).map(([name, value]) => [name, number(value)]), true)),
    h('h2', null, 'Tags'), pairs(null, tags),
    h('h2', null, 'Identity'), pairs(null, [['run id', run.run_id], ['artifacts', run.artifact_uri]].filter(([, value]) => value)),
  ];
}

function pairs(name, rows, numeric) {
  return h('div', { class: 'card flush' }, h('table', null,
    name && h('thead', null, h('tr', null, h('th', { scope: 'col' }, name), h('th', null))),
    h('tbody', null, rows.length ? rows.map(([key, value]) => h('tr', { 'data-key': key }, h('th', { scope: 'row' }, key), h('td', { class: numeric ? 'number' : 'mono wrap' }, String(value)))) : h('tr', null, h('td', { class: 'quiet' }, 'none')))));
}
