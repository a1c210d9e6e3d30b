// All registered models.

import { h } from '../dom.js';
import { get } from '../api.js';
import { badge, empty, modelLink } from '../words.js';

export const title = () => 'Models';
export const load = () => get('/models');

export function view({ models }) {
  if (!models.length) {
    return [h('h1', null, 'Models'), empty('No model registered', 'Register one from a run; the stock MLflow client does it.',
      `mlflow.set_tracking_uri("${location.origin}")\nmlflow.register_model(f"runs:/{run_id}/model", "my-model")`)];
  }
  return [
    h('h1', null, 'Models'),
    h('p', { class: 'lead' }, 'What is registered, and which version is in production.'),
    h('div', { class: 'card flush' }, h('table', null,
      h('thead', null, h('tr', null, ['Model', 'In production', 'Latest', 'Aliases', 'Gate', 'Approval'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', null, models.map((model) => h('tr', { 'data-key': model.name },
        h('td', null, h('b', null, modelLink(model.name)), model.description && h('div', { class: 'quiet small wrap' }, model.description)),
        h('td', null, model.production_version ? badge('production', `version ${model.production_version}`) : h('span', { class: 'quiet' }, 'none')),
        h('td', null, model.latest_version ? `version ${model.latest_version}` : h('span', { class: 'quiet' }, 'none')),
        h('td', null, aliases(model.aliases)),
        h('td', null, model.policy?.mode ?? '–'),
        h('td', null, model.policy?.approve ?? '–')))))),
  ];
}

const aliases = (all) => h('span', { class: 'tags' }, Object.entries(all ?? {}).map(([alias, version]) => h('span', { class: 'badge' }, `@${alias} → ${version}`)));
