// The audit trail: everything that people and the loop decided, newest first.

import { h } from '../dom.js';
import { get } from '../api.js';
import { count } from '../format.js';
import { empty, story } from '../words.js';

export const title = () => 'Audit trail';
export const load = () => get('/events?limit=500');

export function view({ events }) {
  if (!events.length) return [h('h1', null, 'Audit trail'), empty('Nothing happened yet', 'Every decision, by a person or by the loop, is written here with its evidence and never changed.')];
  return [
    h('h1', null, 'Audit trail'),
    h('p', { class: 'lead' }, `The last ${count(events.length)} decisions. Nothing here is ever changed.`),
    h('section', { class: 'card' }, story(events, 100)),
  ];
}
