// Charts as SVG by hand: no splines, gaps stay gaps, the interval is always shown, every chart says in words what it shows.

import { s } from './dom.js';
import { dayOf, measured, number } from './format.js';

const scale = (from, to, low, high) => (x) => low + ((x - from) / (to - from || 1)) * (high - low);
const round = (x) => Math.round(x * 10) / 10;

/** Between three and six round ticks. */
function ticks(from, to) {
  const raw = (to - from || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= raw);
  const all = [];
  for (let at = Math.ceil(from / step) * step; at <= to + step * 1e-9; at += step) all.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return all;
}

/** An interval on a line with zero marked; `lower` and `upper` are the ends of the scale. */
export function interval({ difference, low, high }, tone, [lower, upper], width = 300) {
  const x = scale(lower, upper, 10, width - 10);
  return s('svg', { class: 'chart', viewBox: `0 0 ${width} 26`, role: 'img', 'aria-label': `difference ${number(difference)}, interval ${number(low)} to ${number(high)}` },
    s('line', { class: 'axis', x1: 10, x2: width - 10, y1: 13, y2: 13 }),
    s('line', { class: 'zero', x1: x(0), x2: x(0), y1: 3, y2: 23 }),
    s('line', { class: `interval ${tone}`, x1: x(low), x2: x(high), y1: 13, y2: 13 }),
    s('circle', { class: `estimate ${tone}`, cx: x(difference), cy: 13, r: 4 }));
}

/** A scale that holds all intervals and zero. */
export function range(intervals) {
  const ends = intervals.flatMap(({ low, high }) => [low, high]).filter((x) => Number.isFinite(x));
  const [least, most] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const pad = (most - least || 1) * 0.08;
  return [least - pad, most + pad];
}

/** A small line without axes. */
export function spark(values, width = 130, height = 30) {
  const known = values.filter((x) => x !== null && x !== undefined);
  if (known.length < 2) return null;
  const x = scale(0, values.length - 1, 3, width - 4);
  const y = scale(Math.min(...known), Math.max(...known), height - 4, 4);
  const last = values.findLastIndex((at) => at !== null && at !== undefined);
  return s('svg', { viewBox: `0 0 ${width} ${height}`, width, height, 'aria-hidden': 'true' },
    s('path', { class: 'curve', d: path(values, x, y) }),
    s('circle', { class: 'point', cx: x(last), cy: y(values[last]), r: 2.5 }));
}

function path(values, x, y) {
  let d = '';
  let open = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) open = false;
    else {
      d += `${open ? 'L' : 'M'}${round(x(index))} ${round(y(value))}`;
      open = true;
    }
  });
  return d;
}

const WIDTH = 620;
const HEIGHT = 190;
const LEFT = 52;

/**
 * A metric over windows. points: [{label_us, value, low, high, open}], marks: [{index, words}], alarms: indices, reference: number.
 */
export function metric({ name, points, marks = [], alarms = [], reference = null, selected = null, onpick = null }) {
  const ends = points.flatMap((point) => [point.value, point.low, point.high]).concat(reference).filter((at) => Number.isFinite(at));
  if (!ends.length) return null;
  const pad = (Math.max(...ends) - Math.min(...ends) || Math.abs(ends[0]) || 1) * 0.12;
  const [least, most] = [Math.min(...ends) - pad, Math.max(...ends) + pad];
  const x = scale(-0.5, points.length - 0.5, LEFT, WIDTH - 10);
  const y = scale(least, most, HEIGHT - 26, 18);
  const step = x(1) - x(0);
  const every = Math.ceil(points.length / 9);
  const known = points.filter((point) => point.value !== null);
  const words = known.length ? `${name}, ${known.length} windows, last ${number(known.at(-1).value)}` : name;
  return s('svg', { class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': words },
    ticks(least, most).map((at) => [
      s('line', { class: 'axis', x1: LEFT, x2: WIDTH - 10, y1: y(at), y2: y(at) }),
      s('text', { x: LEFT - 8, y: y(at) + 4, 'text-anchor': 'end' }, number(at))]),
    points.map((point, index) => index % every === 0 && s('text', { x: x(index), y: HEIGHT - 8, 'text-anchor': 'middle' }, dayOf(point.label_us))),
    marks.map(({ index, words: mark }) => [
      s('line', { class: 'version-mark', x1: x(index) - step / 2, x2: x(index) - step / 2, y1: 14, y2: HEIGHT - 26 }),
      s('text', { class: 'strong', x: x(index) - step / 2 + 4, y: 13 }, mark)]),
    reference !== null && s('line', { class: 'reference', x1: LEFT, x2: WIDTH - 10, y1: y(reference), y2: y(reference) }),
    bands(points).map((band) => s('path', { class: 'band', d: area(band, x, y) })),
    s('path', { class: 'curve', d: path(points.map((point) => point.value), x, y) }),
    points.map((point, index) => point.value !== null && s('circle', { class: `point ${point.open ? 'open' : ''}`, cx: x(index), cy: y(point.value), r: point.open ? 3.2 : 2.6 })),
    alarms.map((index) => s('path', { class: 'alert-mark', d: `M${round(x(index) - 5)} ${HEIGHT - 26} h10 l-5 -8 z` }, s('title', null, 'an alert was on'))),
    points.map((point, index) => s('rect', { class: 'hit', x: x(index) - step / 2, y: 14, width: step, height: HEIGHT - 40, onclick: onpick && (() => onpick(index)) },
      s('title', null, `${dayOf(point.label_us)}: ${point.value === null ? 'no value' : `${measured(point.value, point.low, point.high)} [${measured(point.low, point.low, point.high)}, ${measured(point.high, point.low, point.high)}]`}${point.open ? ', provisional' : ''}`))),
    selected !== null && selected >= 0 && s('rect', { class: 'hit', x: x(selected) - step / 2, y: 14, width: step, height: HEIGHT - 40, style: { fill: 'var(--accent)', opacity: '0.1' } }));
}

/** Runs of points that have an interval. */
function bands(points) {
  const runs = [[]];
  points.forEach((point, index) => {
    const whole = Number.isFinite(point.low) && Number.isFinite(point.high);
    if (whole) runs.at(-1).push({ ...point, index });
    else if (runs.at(-1).length) runs.push([]);
  });
  return runs.filter((run) => run.length > 1);
}

function area(band, x, y) {
  const upper = band.map((point) => `${round(x(point.index))} ${round(y(point.high))}`);
  const lower = band.map((point) => `${round(x(point.index))} ${round(y(point.low))}`).reverse();
  return `M${[...upper, ...lower].join('L')}Z`;
}

/** How strong a colour a stability index deserves, on a logarithm: 0.1 shows, 0.25 is a major shift, seasons go beyond 3. */
export const heat = (psi) => Math.min(1, Math.log1p(Math.max(0, (psi ?? 0) - 0.02) / 0.08) / Math.log1p(3 / 0.08));

/** Features by windows. cell(feature, window) -> {psi, status, href, words, selected}. */
export function heatmap(features, windows, cell) {
  const [left, top, high] = [130, 22, 22];
  const wide = Math.max(14, Math.min(46, (1000 - left) / Math.max(windows.length, 1)));
  const width = left + wide * windows.length + 4;
  const height = top + high * features.length + 4;
  const every = Math.ceil(54 / wide);
  return s('svg', { viewBox: `0 0 ${width} ${height}`, width, height, style: { 'max-width': 'none' }, role: 'group', 'aria-label': `drift of ${features.length} columns over ${windows.length} windows` },
    windows.map((window, column) => column % every === 0 && (windows.length - column) * wide > 40 && s('text', { x: left + wide * column + 1, y: 13 }, dayOf(window.from_us))),
    features.map((feature, row) => [
      s('text', { x: left - 10, y: top + high * row + 15, 'text-anchor': 'end' }, feature.length > 18 ? `${feature.slice(0, 17)}…` : feature),
      windows.map((window, column) => {
        const { psi, status, strong, href, words, selected } = cell(feature, window);
        const compared = status === 'ok' || status === 'drift';
        const kind = `cell ${compared ? '' : 'none'} ${status === 'drift' ? 'drift' : ''} ${strong ? 'large' : ''} ${selected ? 'selected' : ''}`;
        return s('a', { href, class: 'cell-link', 'aria-label': words },
          s('rect', { class: kind, x: left + wide * column + 1, y: top + high * row + 1, width: wide - 2, height: high - 2,
            style: compared ? { fill: `color-mix(in oklab, var(--heat-1) ${Math.round(100 * heat(psi))}%, var(--heat-0))` } : {} },
          s('title', null, words)));
      })]));
}

/** Reference and window side by side, as shares. */
export function bins({ labels, reference, window }) {
  const share = (counts) => {
    const total = counts.reduce((sum, n) => sum + n, 0) || 1;
    return counts.map((n) => n / total);
  };
  const [then, now] = [share(reference), share(window)];
  const most = Math.max(...then, ...now, 1e-9);
  const [width, height] = [560, 170];
  const wide = (width - 10) / then.length;
  const y = (x) => round((height - 40) * (1 - x / most) + 6);
  const every = Math.ceil((then.length * 58) / width);
  return s('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'distribution in the reference and in the window' },
    s('line', { class: 'zero', x1: 4, x2: width - 4, y1: height - 33.5, y2: height - 33.5 }),
    then.map((_, index) => {
      const x = 5 + wide * index;
      return [
        s('rect', { class: 'bar-reference', x: x + wide * 0.08, y: y(then[index]), width: wide * 0.42, height: height - 34 - y(then[index]) }, s('title', null, `reference: ${(100 * then[index]).toFixed(1)} %`)),
        s('rect', { class: 'bar-window', x: x + wide * 0.5, y: y(now[index]), width: wide * 0.42, height: height - 34 - y(now[index]) }, s('title', null, `window: ${(100 * now[index]).toFixed(1)} %`)),
        index % every === 0 && s('text', { x: x + wide / 2, y: height - 18, 'text-anchor': 'middle' }, clip(labels[index] ?? `> ${labels[index - 1] ?? ''}`)),
      ];
    }));
}

const clip = (label) => {
  const shown = Number.isFinite(Number(label)) && label !== '' ? number(Number(label)) : label;
  return shown.length > 9 ? `${shown.slice(0, 8)}…` : shown;
};
