// All deployments.

import { h } from '../dom.js';
import { get, segment } from '../api.js';
import { count } from '../format.js';
import { badge, empty, link, modelLink, when } from '../words.js';

export const title = () => 'Deployments';
export const load = () => get('/overview');

export function view({ deployments }) {
  if (!deployments.length) {
    return [h('h1', null, 'Deployments'), empty('No deployment yet', 'A deployment is an endpoint that follows a stage or an alias of a model; moving the pointer is the deployment.',
      'rondo deployment create NAME models:/MODEL/Production')];
  }
  return [
    h('h1', null, 'Deployments'),
    h('p', { class: 'lead' }, 'Endpoints that follow the registry.'),
    h('div', { class: 'card flush' }, h('table', null,
      h('thead', null, h('tr', null, ['Deployment', 'State', 'Model', 'Version', 'Follows', 'Since'].map((name) => h('th', { scope: 'col' }, name)), h('th', { scope: 'col', class: 'number' }, 'Predictions'), h('th', { scope: 'col' }, 'Alerts'))),
      h('tbody', null, deployments.map((deployment) => h('tr', { 'data-key': deployment.name },
        h('td', null, h('b', null, link(`deployments/${segment(deployment.name)}`, deployment.name))),
        h('td', null, badge(deployment.state ?? (deployment.version ? 'ready' : 'empty'))),
        h('td', null, modelLink(deployment.model)),
        h('td', null, deployment.version ?? '–'),
        h('td', { class: 'mono' }, deployment.pointer),
        h('td', null, deployment.since_us ? when(deployment.since_us) : '–'),
        h('td', { class: 'number' }, count(deployment.predictions)),
        h('td', null, deployment.alerts?.length ? deployment.alerts.map((alert) => badge(alert.state ?? 'firing', alert.rule)) : h('span', { class: 'quiet' }, 'none'))))))),
  ];
}
