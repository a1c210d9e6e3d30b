// The loop as a picture: eight stations on a track; what is happening now is lit.

import { s } from './dom.js';

const STATIONS = ['Data', 'Features', 'Train', 'Validate', 'Register', 'Deploy', 'Monitor', 'Retrain'];

/** Which station a pending piece of work belongs to. */
const SIGNS = [
  [/monitor |webhook/, 'Monitor'], [/retrain/, 'Retrain'], [/pipeline /, 'Train'], [/evaluat|verdict/, 'Validate'],
  [/roll/, 'Deploy'], [/promot|admit|reference|version/, 'Register'],
];

export const stationOf = (pending) => SIGNS.find(([sign]) => sign.test(pending))?.[1] ?? 'Data';

/** notes: words under each station; reached: stations that have something; alarm: stations in trouble. */
export function loop({ idle, pending }, { notes, reached, alarm }) {
  const active = new Set(pending.map(stationOf));
  const [left, right, top, bottom] = [110, 850, 62, 178];
  const radius = (bottom - top) / 2;
  const middle = (top + bottom) / 2;
  const track = `M${left} ${top}H${right}A${radius} ${radius} 0 0 1 ${right} ${bottom}H${left}A${radius} ${radius} 0 0 1 ${left} ${top}Z`;
  const place = (index) => (index < 4 ? [left + ((right - left) / 3) * index, top] : [right - ((right - left) / 3) * (index - 4), bottom]);
  const state = idle ? 'At rest' : 'Turning';
  const doing = idle ? 'everything that happened has had its consequences' : pending[0] + (pending.length > 1 ? `, and ${pending.length - 1} more` : '');
  return s('svg', { class: `loop ${idle ? '' : 'turning'}`, viewBox: '0 0 960 240', role: 'img', 'aria-label': `The loop: ${state}. ${doing}` },
    s('path', { class: 'track', d: track }),
    !idle && s('path', { class: 'turn', d: track }),
    s('text', { class: 'state', x: 480, y: middle - 4, 'text-anchor': 'middle' }, state),
    s('text', { class: 'note', x: 480, y: middle + 16, 'text-anchor': 'middle' }, doing.length > 80 ? `${doing.slice(0, 79)}…` : doing),
    STATIONS.map((name, index) => {
      const [x, y] = place(index);
      const kind = active.has(name) ? 'active' : alarm.has(name) ? 'alarm' : reached.has(name) ? 'done' : '';
      const above = index < 4;
      return s('g', { class: kind },
        s('circle', { class: 'halo', cx: x, cy: y, r: 21 }),
        s('circle', { class: 'station', cx: x, cy: y, r: 11 }),
        s('circle', { class: 'core', cx: x, cy: y, r: 4 }),
        s('text', { class: 'name', x, y: above ? y - 36 : y + 36, 'text-anchor': 'middle' }, name),
        s('text', { class: 'note', x, y: above ? y - 20 : y + 52, 'text-anchor': 'middle' }, notes[name] ?? ''));
    }));
}
