// One question, one answer: what is in production, since when, on what evidence, and how it is doing right now.

import { h } from '../dom.js';
import { get, getOr, segment } from '../api.js';
import { count, date, metricName, percent, short, span } from '../format.js';
import { badge, empty, evidence, ground, link, modelLink, timeline, undecided, value, when } from '../words.js';
import { interval, range, spark } from '../charts.js';
import { loop } from '../loop.js';

export const title = () => 'Overview';

/** Windows change seldom and are large: they are asked for again only when the newest has changed. */
const windowCache = new Map();
/** Predictions at the last looks, for the rate. */
const looks = new Map();

export async function load() {
  const [overview, trail] = await Promise.all([get('/overview'), get('/events?limit=12')]);
  const series = {};
  await Promise.all(overview.deployments.map(async (deployment) => {
    if (deployment.monitor && deployment.last_window) series[deployment.name] = await windowsOf(deployment);
  }));
  const models = {};
  await Promise.all([...new Set(overview.deployments.map((deployment) => deployment.model))].map(async (name) => {
    models[name] = await getOr(`/models/${segment(name)}`, null);
  }));
  const waiting = Object.fromEntries(Object.entries(models).map(([name, model]) => [name, model && undecided(model)]));
  const rates = Object.fromEntries(overview.deployments.map((deployment) => [deployment.name, rate(deployment)]));
  return { overview, events: trail.events, series, rates, waiting };
}

async function windowsOf({ monitor, last_window: last }) {
  const mark = JSON.stringify(last);
  const cached = windowCache.get(monitor);
  if (cached?.mark === mark) return cached.points;
  const { windows } = await get(`/monitors/${segment(monitor)}/windows?limit=40`);
  const points = windows.map((window) => ({
    share: window.drift?.compared ? window.drift.drifted / window.drift.compared : null,
    metrics: Object.fromEntries(window.quality.map((measure) => [measure.metric, measure.value])),
  }));
  windowCache.set(monitor, { mark, points });
  return points;
}

/** Predictions a second over the last looks, about ten seconds. */
function rate({ name, predictions, rate_per_s: told }) {
  if (Number.isFinite(told)) return told;
  const now = performance.now();
  const past = (looks.get(name) ?? []).filter((look) => now - look.at < 11_000);
  past.push({ at: now, predictions });
  looks.set(name, past);
  const [first, last] = [past[0], past.at(-1)];
  return last.at - first.at < 900 ? null : Math.round(((last.predictions - first.predictions) * 1000) / (last.at - first.at));
}

export function view({ overview, events, series, rates, waiting }) {
  const deployments = overview.deployments.toSorted((a, b) => Boolean(b.version) - Boolean(a.version));
  return [
    h('h1', null, 'Overview'),
    h('p', { class: 'lead' }, 'What is in production, on what evidence, and how it is doing right now.'),
    h('section', { class: 'card loop-scroll', 'aria-label': 'The loop' }, loop(overview.loop, stations(overview))),
    deployments.length
      ? deployments.map((deployment) => answer(deployment, series[deployment.name] ?? [], rates[deployment.name], waiting[deployment.model]))
      : nothingYet(overview.counts),
    events.length > 0 && [
      h('div', { class: 'row between' }, h('h2', null, 'What happened'), link('trail', 'the whole trail')),
      h('section', { class: 'card' }, timeline(events.toSorted((a, b) => b.seq - a.seq))),
    ],
  ];
}

function stations({ deployments, counts }) {
  const sum = (field) => deployments.reduce((total, deployment) => total + (deployment[field] ?? 0), 0);
  const live = deployments.filter((deployment) => deployment.version);
  const verdict = deployments.map((deployment) => deployment.verdict).find(Boolean);
  const alerts = deployments.flatMap((deployment) => deployment.alerts ?? []);
  const windows = deployments.map((deployment) => deployment.last_window).filter(Boolean);
  const plural = (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`;
  const notes = {
    Data: `${short(sum('outcomes'))} labelled`,
    Features: windows.length ? `${plural(windows.reduce((n, window) => n + (window.drifted ?? 0), 0), 'column')} drifted` : 'none watched yet',
    Train: plural(counts.experiments ?? 0, 'experiment'),
    Validate: verdict ? `version ${verdict.version} ${verdict.state}` : 'no verdict yet',
    Register: plural(counts.models ?? 0, 'model'),
    Deploy: live.length === 1 ? `version ${live[0].version} live` : plural(live.length, 'live deployment'),
    Monitor: alerts.length ? `${plural(alerts.length, 'alert')} on` : windows.length ? 'quiet' : 'no window yet',
    Retrain: plural(counts.pipelines ?? 0, 'pipeline'),
  };
  const reached = new Set(Object.entries({
    Data: sum('predictions') > 0, Features: windows.length > 0, Train: counts.experiments > 1 || counts.models > 0, Validate: Boolean(verdict),
    Register: counts.models > 0, Deploy: live.length > 0, Monitor: windows.length > 0, Retrain: counts.pipelines > 0,
  }).filter(([, is]) => is).map(([name]) => name));
  return { notes, reached, alarm: new Set(alerts.length ? ['Monitor'] : []) };
}

function answer(deployment, points, rate, open) {
  const { name, model, pointer, version, since_us: since, verdict, last_window: last } = deployment;
  return h('article', { class: 'card answer', 'data-key': name },
    h('div', { class: 'row between' }, h('h3', null, link(`deployments/${segment(name)}`, name)), badge(deployment.state ?? (version ? 'ready' : 'empty'))),
    version
      ? h('p', { class: 'claim' }, h('b', null, modelLink(model, `Version ${version}`)), ' answers for ', h('code', null, pointer), since ? [', since ', when(since)] : null)
      : h('p', { class: 'claim' }, 'Nothing answers for ', h('code', null, pointer), ' yet: register a version and move the pointer to it.'),
    deployment.failure && h('p', { class: 'notice' }, 'The last version could not be loaded: ', failure(deployment.failure)),
    version && proof(verdict),
    open && h('p', { class: 'notice' }, h('b', null, modelLink(model, `Version ${open.version} waits for a decision`)), ': ', evidence(open), '.'),
    (deployment.alerts ?? []).map((alert) => h('p', { class: 'alert-line', 'data-key': alert.rule }, badge(alert.state ?? 'firing'), h('span', null, h('b', null, alert.rule), alert.since_us ? [' since ', date(alert.since_us)] : null, h('span', { class: 'quiet' }, ' · ', ground(alert.evidence))))),
    h('dl', { class: 'facts' },
      fact('Predictions', h('span', { class: 'big' }, count(deployment.predictions)), h('span', { class: 'quiet small' }, !rate ? '' : ` ${count(rate)}/s now`)),
      last && fact(`Last window, ${span(last.from_us, last.until_us)}`, h('span', { class: 'big' }, count(last.n)), h('span', { class: 'quiet small' }, ` rows, ${count(last.outcomes ?? 0)} labelled`)),
      last && headline(last).map((metric) => fact([metricName(metric), last.metrics[metric].provisional ? ' (provisional)' : ''], value(last.metrics[metric]), spark(points.map((point) => point.metrics[metric] ?? null)))),
      last && fact('Features that drifted', h('span', { class: 'big' }, percent(last.drift_share)), spark(points.map((point) => point.share))),
      !last && fact('Quality and drift', h('span', { class: 'quiet' }, deployment.monitor ? 'the first window is not complete' : 'no monitor watches this deployment'))));
}

const failure = (said) => (typeof said === 'string' ? said : said.reason ?? said.error ?? JSON.stringify(said));
const fact = (name, ...what) => h('div', null, h('dt', null, name), h('dd', null, what));

/** The metrics people ask for first. */
const headline = ({ metrics }) => ['auc', 'brier', 'rmse', 'mae'].filter((metric) => metrics[metric]).slice(0, 2);

function proof(verdict) {
  if (!verdict) return h('div', { class: 'evidence' }, h('p', { class: 'quiet' }, 'Promoted without a verdict.'));
  const whole = Number.isFinite(verdict.low) && Number.isFinite(verdict.high);
  const by = verdict.approved_by ? [' Approved by ', verdict.approved_by, '.'] : null;
  return h('div', { class: 'evidence' },
    h('p', null, h('span', { class: 'quiet' }, 'Evidence: '), evidence(verdict), '.', by),
    whole && interval(verdict, verdict.passed ? 'good' : 'bad', range([verdict])));
}

function nothingYet(counts) {
  const here = location.origin;
  return counts.models
    ? empty('No deployment yet', 'A deployment is an endpoint that follows a stage or an alias of a model.', 'rondo deployment create NAME models:/MODEL/Production')
    : empty('Nothing logged yet', 'Point any MLflow program here; runs, models and versions appear by themselves.', `import mlflow\nmlflow.set_tracking_uri("${here}")\n\n# or see the whole loop turn on a year of flights:\nrondo demo`);
}
