// A deployment over time: quality with its interval, drift by feature and window, alerts and versions marked.

import { h } from '../dom.js';
import { get, getOr, segment } from '../api.js';
import { chance, count, metricName, number, percent, span } from '../format.js';
import { badge, ground, modelLink, when } from '../words.js';
import { bins, heatmap, metric } from '../charts.js';

const WINDOWS = 60;

export const title = ({ params }) => params.name;

/** Reports are large: they are asked for again only when the newest has changed. */
let cached = { mark: null, windows: [] };

export async function load({ params }) {
  const { name } = params;
  const [overview, { monitors }, { alerts }] = await Promise.all([get('/overview'), get('/monitors'), get('/alerts')]);
  const deployment = overview.deployments.find((one) => one.name === name) ?? (await get(`/deployments/${segment(name)}`));
  const monitor = monitors.find((one) => one.deployment === name) ?? null;
  let windows = [];
  if (monitor) {
    const mark = JSON.stringify([monitor.name, deployment.last_window]);
    if (cached.mark !== mark) {
      const answer = await getOr(`/monitors/${segment(monitor.name)}/windows?limit=${WINDOWS}`, { windows: [] });
      cached = { mark, windows: answer.windows };
    }
    windows = cached.windows;
  }
  const fired = await firings(monitor, windows);
  return { deployment, monitor, windows, fired, alerts: alerts.filter((alert) => alert.monitor === monitor?.name) };
}

/** When alerts were on, from the trail of the model's story; the newest thousand events are enough for the windows shown. */
async function firings(monitor, windows) {
  if (!monitor || !windows.length) return [];
  const { events } = await get('/events?limit=1000');
  const ours = events.filter((event) => event.kind.startsWith('alert.') && event.subject === `monitor/${monitor.name}`);
  return ours.map((event) => ({ fired: event.kind === 'alert.fired', rule: event.payload?.rule, at: windowStart(event.payload?.window) })).filter((event) => event.at !== null);
}

function windowStart(window) {
  const from = typeof window === 'object' && window !== null ? (window.from_us ?? window.from) : window;
  if (typeof from === 'number') return from;
  const parsed = Date.parse(from);
  return Number.isNaN(parsed) ? null : parsed * 1000;
}

export function view({ deployment, monitor, windows, fired, alerts }, at) {
  const on = alerts.filter((alert) => alert.state === 'firing' || alert.state === 'recovering');
  return [
    h('div', { class: 'row' }, h('h1', null, deployment.name), badge(deployment.state ?? 'ready')),
    h('p', { class: 'lead' }, deployment.version
      ? ['Version ', h('b', null, deployment.version), ' of ', modelLink(deployment.model), ' answers for ', h('code', null, deployment.pointer), deployment.since_us ? [', since ', when(deployment.since_us)] : null, '.']
      : ['Nothing answers for ', h('code', null, deployment.pointer), ' yet.']),
    on.map((alert) => h('p', { class: 'alert-line', 'data-key': alert.rule }, badge(alert.state), h('b', null, alert.rule), h('span', null, ground(alert.evidence)))),
    facts(deployment),
    !monitor && h('div', { class: 'card' }, h('p', null, 'No monitor watches this deployment.'), h('p', { class: 'quiet' }, 'A monitor compares windows of predictions with the data the model was trained on:'),
      h('pre', null, `rondo monitor create ${deployment.name} --deployment ${deployment.name}`)),
    monitor && !windows.length && h('div', { class: 'card' }, h('p', null, 'No window is complete yet.'), h('p', { class: 'quiet' }, 'A window closes when the watermark of the deployment passes its end.')),
    windows.length > 0 && [quality(windows, fired, at), drift(windows, at), detail(windows, at)],
  ];
}

function facts(deployment) {
  const fact = (name, ...what) => h('div', null, h('dt', null, name), h('dd', null, what));
  return h('div', { class: 'card' },
    h('dl', { class: 'facts', style: { margin: '0', padding: '0', border: '0' } },
      fact('Predictions', h('span', { class: 'big' }, count(deployment.predictions))),
      fact('With outcome', h('span', { class: 'big' }, count(deployment.outcomes))),
      fact('Errors', h('span', { class: 'big' }, count(deployment.errors ?? 0))),
      fact('Event time has come to', h('span', { class: 'big' }, (deployment.watermark ?? deployment.newest_event ?? '–').slice(0, 10)))),
    deployment.predict_url && h('details', null, h('summary', { class: 'quiet small' }, 'How to call it'),
      h('pre', null, `curl -s ${deployment.predict_url} -H 'content-type: application/json' \\\n  -d '{"rows": [{...}]}'`)));
}

const ORDER = ['auc', 'brier', 'log_loss', 'ece', 'calibration_error', 'rmse', 'mae', 'bias', 'accuracy'];

function quality(windows, fired, at) {
  const names = [...new Set(windows.flatMap((window) => window.quality.map((measure) => measure.metric)))];
  names.sort((a, b) => (ORDER.indexOf(a) + 99) % 99 - ((ORDER.indexOf(b) + 99) % 99));
  const chosen = at.query.getAll('m').filter((name) => names.includes(name));
  const shown = chosen.length ? chosen : names.slice(0, 2);
  if (!names.length) return [h('h2', null, 'Quality'), h('p', { class: 'quiet' }, 'No outcome has arrived for these windows. Send them to POST /api/v1/outcomes.')];
  const alarms = alarmed(windows, fired);
  return [
    h('div', { class: 'row between' }, h('h2', null, 'Quality'), h('p', { class: 'quiet small' }, 'line: value · band: 95 % interval · hollow: outcomes still arriving · dashed: at training · ▲ alert on')),
    h('nav', { class: 'chips', 'aria-label': 'Metrics' }, names.map((name) => h('a', { href: address(at, { m: toggled(shown, name) }), 'aria-current': shown.includes(name) ? 'true' : null }, metricName(name)))),
    h('div', { class: 'grid' }, shown.map((name) => h('figure', { class: 'card', 'data-key': name },
      h('figcaption', { class: 'row between' }, h('h3', null, metricName(name)), h('span', { class: 'quiet small' }, ['auc', 'accuracy'].includes(name) ? 'higher is better' : name === 'bias' ? 'zero is best' : 'lower is better')),
      metric({
        name: metricName(name),
        points: windows.map((window) => point(window, name)),
        marks: changes(windows),
        alarms,
        reference: windows.at(-1).reference_quality?.find((measure) => measure.metric === name)?.value ?? null,
        selected: windows.findIndex((window) => String(window.from_us) === at.query.get('w')),
        onpick: (index) => { location.hash = address(at, { w: windows[index].from_us }); },
      })))),
  ];
}

function point(window, name) {
  const measure = window.quality.find((one) => one.metric === name);
  return { label_us: window.from_us, value: measure?.value ?? null, low: measure?.low ?? null, high: measure?.high ?? null, open: window.provisional };
}

const dominant = (window) => window.versions?.[0]?.version ?? null;

/** Where another version began to answer. */
function changes(windows) {
  return windows.map((window, index) => ({ index, words: `v${dominant(window)}`, is: dominant(window) !== null && (index === 0 || dominant(window) !== dominant(windows[index - 1])) })).filter((mark) => mark.is);
}

/** Windows during which some rule was on. */
function alarmed(windows, fired) {
  const on = new Set();
  return windows.map((window, index) => {
    for (const event of fired.filter((one) => one.at === window.from_us)) event.fired ? on.add(event.rule) : on.delete(event.rule);
    return on.size ? index : null;
  }).filter((index) => index !== null);
}

const toggled = (shown, name) => (shown.includes(name) ? (shown.length > 1 ? shown.filter((one) => one !== name) : shown) : [...shown, name]);

/** This page with another choice; the address is the state of the view. */
function address(at, change) {
  const query = new URLSearchParams(at.query);
  for (const [name, value] of Object.entries(change)) {
    query.delete(name);
    for (const one of [value].flat()) query.append(name, one);
  }
  return `#/${at.path}?${query}`;
}

function columns(window) {
  return [...(window.drift.prediction ? [{ ...window.drift.prediction, name: 'prediction' }] : []), ...window.drift.features];
}

function drift(windows, at) {
  const names = [...new Set(windows.flatMap((window) => columns(window).map((column) => column.name)))];
  if (!names.length) return [h('h2', null, 'Drift'), h('p', { class: 'quiet' }, 'These windows have no reference to be compared with.')];
  return [
    h('div', { class: 'row between' }, h('h2', null, 'Drift against the reference'), h('p', { class: 'quiet small' }, 'stronger colour: larger shift (PSI) · outlined: drift, real and large enough to matter · dashed: not compared')),
    h('div', { class: 'card scroll' }, heatmap(names, windows, (name, window) => {
      const column = columns(window).find((one) => one.name === name);
      const what = column ? `PSI ${number(column.psi)}, ${column.status.replaceAll('_', ' ')}` : 'not compared';
      return {
        psi: column?.psi, status: column?.status, strong: column?.strong, words: `${name}, ${span(window.from_us, window.until_us)}: ${what}`,
        href: address(at, { w: window.from_us, f: name }),
        selected: String(window.from_us) === at.query.get('w') && name === at.query.get('f'),
      };
    })),
  ];
}

function detail(windows, at) {
  const window = windows.find((one) => String(one.from_us) === at.query.get('w')) ?? windows.at(-1);
  const all = columns(window);
  const column = all.find((one) => one.name === at.query.get('f')) ?? all.toSorted((a, b) => (b.psi ?? 0) - (a.psi ?? 0))[0];
  return [
    h('h2', null, `Window ${span(window.from_us, window.until_us)}`),
    h('p', { class: 'quiet' }, `${count(window.n)} predictions by ${window.versions.map((one) => `version ${one.version} (${count(one.rows)})`).join(', ') || 'nobody'}, ${count(window.outcomes)} with an outcome${window.provisional ? ' so far' : ''}; ${window.drift.drifted} of ${window.drift.compared} features drifted. `,
      window.reference && ['Reference: ', typeof window.reference === 'string' ? window.reference : `version ${window.reference.version ?? ''}`, '.']),
    column && h('div', { class: 'grid' },
      h('figure', { class: 'card' }, h('figcaption', { class: 'row between' }, h('h3', null, column.name), badge(column.status, column.status.replaceAll('_', ' '))),
        column.bins ? bins(column.bins) : h('p', { class: 'quiet' }, 'no distribution to show'),
        h('p', { class: 'quiet small' }, 'grey: reference, blue: this window')),
      h('div', { class: 'card flush' }, h('table', null, h('tbody', null, [
        ['Stability index (PSI)', number(column.psi)],
        [`Effect${column.effect_name ? ` (${column.effect_name.replaceAll('_', ' ')})` : ''}`, number(column.effect)],
        [`Test${column.method ? ` (${column.method.replaceAll('_', ' ')})` : ''}`, column.p_value === null || column.p_value === undefined ? '–' : `p ${chance(column.p_value)}`],
        ['Adjusted for all features', column.q_value === null || column.q_value === undefined ? '–' : `q ${chance(column.q_value)}`],
        ['Values', `${count(column.n)} against ${count(column.n_reference)}`],
        ['Mean', column.mean ? `${number(column.mean[0])} against ${number(column.mean[1])}` : '–'],
        ['Missing', share(column.missing)],
        ['Not seen before', share(column.unseen)],
      ].map(([name, value]) => h('tr', null, h('th', { scope: 'row' }, name), h('td', { class: 'number' }, value))))))),
  ];
}

const share = (one) => (one ? `${percent(one.value)} against ${percent(one.reference)}` : '–');
