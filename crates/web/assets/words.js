// Small pieces that several screens say alike: badges, intervals, events as sentences, empty states.

import { h } from './dom.js';
import { segment } from './api.js';
import { ago, actor, count, duration, iso, measured, metricName, number, percent, signed } from './format.js';

const STATES = {
  ready: ['good', '●'], succeeded: ['good', '✓'], passed: ['good', '✓'], approved: ['good', '✓'], finished: ['good', '✓'],
  running: ['now', '◐'], pending: ['', '○'], scheduled: ['', '○'], skipped: ['', '↷'], cancelled: ['', '×'], blocked: ['', '○'],
  failed: ['bad', '✕'], rejected: ['bad', '✕'], killed: ['bad', '✕'], firing: ['bad', '▲'], recovering: ['warn', '△'],
  production: ['now', '★'], staging: ['', '☆'], archived: ['', '◌'], empty: ['', '○'], ok: ['good', '●'], drift: ['warn', '▲'],
};

export function badge(state, words) {
  const [tone, icon] = STATES[String(state).toLowerCase()] ?? ['', '·'];
  return h('span', { class: `badge ${tone}`, 'data-icon': icon }, words ?? String(state).toLowerCase());
}

export const link = (path, ...words) => h('a', { href: `#/${path}` }, ...words);
export const modelLink = (name, ...words) => link(`models/${segment(name)}`, ...(words.length ? words : [name]));
export const when = (us) => h('time', { datetime: iso(us), title: iso(us) }, ago(us));

/** A measured value with its interval. */
export function value(measure) {
  if (!measure || measure.value === null || measure.value === undefined) return h('span', { class: 'quiet' }, 'not yet');
  const { value: at, low, high } = measure;
  const interval = low === null || low === undefined ? null : `[${measured(low, low, high)}, ${measured(high, low, high)}]`;
  return h('span', null, h('span', { class: 'big' }, measured(at, low, high)), ' ', h('span', { class: 'quiet small' }, interval));
}

/** What a verdict says, in one sentence. */
export function evidence(verdict) {
    if (!verdict.champion) return `version ${verdict.version} is the first, so there was nothing to compare it with`;
  if (verdict.difference === null || verdict.difference === undefined) {
    return `version ${verdict.version} against version ${verdict.champion}${verdict.rows ? ` on ${count(verdict.rows)} rows` : ''}`;
  }
  const { difference, low, high } = verdict;
  return [
    `${metricName(verdict.metric ?? '')} ${difference >= 0 ? 'better' : 'worse'} by `,
    h('b', null, measured(Math.abs(difference), low, high)),
    ` than version ${verdict.champion}, 95 % [${signed(low, low, high)}, ${signed(high, low, high)}] on ${count(verdict.rows)} labelled rows`,
  ];
}

export function empty(title, words, snippet) {
  return h('div', { class: 'card empty' }, h('h3', null, title), h('p', null, words), snippet && h('pre', null, snippet));
}

/** What an alert is about: the numbers of the last window judged. */
export function ground(evidence) {
  if (!evidence) return '';
  const { value: at, low, high, baseline, effect, features, feature, mean, bound, count: cases } = evidence;
  const whole = (of) => `${measured(of.value, of.low, of.high)} [${measured(of.low, of.low, of.high)}, ${measured(of.high, of.low, of.high)}]`;
  if (baseline) return `${metricName(evidence.metric ?? '')} ${whole({ value: at, low, high })}, at first ${whole(baseline)}`;
  if (Number.isFinite(effect)) return `${feature}: ${(evidence.effect_name ?? 'effect').replaceAll('_', ' ')} ${number(effect)}${mean ? `, mean ${number(mean[0])} against ${number(mean[1])}` : ''}`;
  if (Number.isFinite(cases) && feature) return `${feature}: ${percent(at)} of ${count(evidence.n)} values, bound ${percent(bound)}`;
  if (Array.isArray(features)) return `${percent(at)} of the features${features.length ? `: ${features.map((one) => one.feature).join(', ')}` : ''}`;
  return Number.isFinite(at) ? number(at) : '';
}

/** Text in which `names` are marked. */
export const marked = (said) => String(said ?? '').split('`').map((part, index) => (index % 2 ? h('code', null, part) : part));

/** The passing verdict that waits for a person, if one does. */
export function undecided({ policy, verdicts, versions }) {
  if (policy?.approve !== 'human') return null;
  const production = versions.find((version) => version.stage === 'Production')?.version ?? null;
  return verdicts.find((verdict) => verdict.state === 'passed' && verdict.version !== production && (verdict.champion ?? null) === production) ?? null;
}

/** The newest events, and the earlier ones behind a click. */
export function story(events, shown = 30) {
  const all = events.toSorted((a, b) => b.seq - a.seq);
  const earlier = all.slice(shown);
  return [timeline(all.slice(0, shown)), earlier.length > 0 && h('details', null, h('summary', { class: 'quiet' }, `${count(earlier.length)} earlier`), timeline(earlier))];
}

/** An event as [tone, sentence]. */
export function tell(event) {
  const p = event.payload ?? {};
  const name = event.subject.split('/').slice(1).join('/');
  const of = event.model ? [' of ', modelLink(event.model)] : '';
  switch (event.kind) {
    case 'version.registered': return ['', ['Version ', h('b', null, p.version), ' of ', modelLink(name), ' was registered', p.run_id ? [' from run ', link(`runs/${p.run_id}`, String(p.run_id).slice(0, 8))] : null]];
    case 'pointer.moved': return ['now', [h('b', null, p.pointer), ' of ', modelLink(event.model ?? name), p.from ? ` moved from version ${p.from} to ` : ' set to ', h('b', null, p.to ? `version ${p.to}` : 'nothing'), p.unproven ? ' without a verdict' : '', p.reason ? [': ', marked(p.reason)] : '']];
    case 'policy.changed': return ['', ['The policy of ', modelLink(event.model ?? name), ' changed', p.policy?.mode ? ` to ${p.policy.mode}` : '']];
    case 'verdict.passed': return ['good', ['Version ', h('b', null, p.version), of, ' passed', p.champion ? ` against version ${p.champion}` : '', p.summary ? `: ${summary(p.summary)}` : '']];
    case 'verdict.failed': return ['bad', ['Version ', h('b', null, p.version), of, ' did not pass', p.champion ? ` against version ${p.champion}` : '', p.summary ? `: ${summary(p.summary)}` : '']];
    case 'approval.requested': return ['now', ['Version ', h('b', null, p.version), of, ' waits for approval for ', p.pointer]];
    case 'approval.given': return [p.approved ? 'good' : 'bad', ['Version ', h('b', null, p.version), of, p.approved ? ' was approved' : ' was rejected', p.note ? `: ${p.note}` : '']];
    case 'reference.computed': return ['', ['The reference of version ', h('b', null, p.version), of, ' was computed', p.rows ? ` from ${count(p.rows)} rows` : '']];
    case 'reference.failed': return ['bad', ['No reference for version ', h('b', null, p.version), of, [': ', marked(p.reason)]]];
    case 'deployment.created': return ['', ['Deployment ', deploymentLink(name), ' follows ', p.pointer]];
    case 'deployment.deleted': return ['', ['Deployment ', name, ' was deleted']];
    case 'deployment.rolled': return ['good', [deploymentLink(name), ' answers with version ', h('b', null, p.to), p.from ? `, before with version ${p.from}` : '', p.load_ms !== undefined ? h('span', { class: 'quiet' }, ` (loaded in ${duration(p.load_ms * 1000)})`) : null]];
    case 'deployment.roll_failed': return ['bad', [deploymentLink(name), ' could not take version ', h('b', null, p.to), [': ', marked(p.reason)]]];
    case 'alert.fired': return ['bad', ['Alert ', h('b', null, p.rule), ' fired on ', deploymentLink(p.deployment ?? name), windowOf(p.window)]];
    case 'alert.resolved': return ['good', ['Alert ', h('b', null, p.rule), ' on ', deploymentLink(p.deployment ?? name), ' is over']];
    case 'pipeline.started': return ['now', ['Pipeline ', pipelineLink(name, p.run_id), ' started', p.reason ? [': ', marked(p.reason)] : '']];
    case 'pipeline.succeeded': return ['good', ['Pipeline ', pipelineLink(name, p.run_id), ' succeeded']];
    case 'pipeline.failed': return ['bad', ['Pipeline ', pipelineLink(name, p.run_id), ' failed', p.step ? ` at ${p.step}` : '', p.reason ? [': ', marked(p.reason)] : '']];
    default: return ['', [event.kind, ' ', event.subject]];
  }
}

const summary = (said) => (typeof said === 'string' ? said : Object.entries(said).map(([name, at]) => `${name} ${at}`).join(', '));
const deploymentLink = (name) => link(`deployments/${segment(name)}`, name);
const pipelineLink = (name, run) => link(`pipelines/${segment(name)}${run ? `?run=${segment(run)}` : ''}`, name);
const windowOf = (window) => {
  const from = typeof window === 'object' ? window?.from ?? null : window;
  return typeof from === 'string' ? ` in the window of ${from.slice(0, 10)}` : '';
};

export function timeline(events) {
  return h('ol', { class: 'timeline' }, events.map((event) => {
    const [tone, sentence] = tell(event);
    return h('li', { class: tone, 'data-key': event.seq },
      when(event.at_us), h('span', { class: 'mark' }),
      h('p', null, sentence, h('span', { class: 'who' }, ` · ${actor(event.actor)}`)));
  }));
}
