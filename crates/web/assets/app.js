// The shell: which screen an address means, loading it, showing it, and asking again every two seconds while the page is visible.

import { showAccount, signInPage } from './account.js';
import { h, patch } from './dom.js';
import * as overview from './screens/overview.js';
import * as models from './screens/models.js';
import * as model from './screens/model.js';
import * as deployments from './screens/deployments.js';
import * as deployment from './screens/deployment.js';
import * as runs from './screens/runs.js';
import * as run from './screens/run.js';
import * as pipelines from './screens/pipelines.js';
import * as trail from './screens/trail.js';

const POLL_MS = 2000;
/** "3 min ago" grows old even when nothing happens. */
const STALE_MS = 10_000;

/** Pattern, screen, entry of the navigation. MLflow clients print links of the form #/experiments/1/runs/ID and #/models/N/versions/1. */
const ROUTES = [
  [/^$/, overview, 'overview'],
  [/^models$/, models, 'models'],
  [/^models\/(?<name>[^/]+)(\/versions\/[^/]+)?$/, model, 'models'],
  [/^deployments$/, deployments, 'deployments'],
  [/^deployments\/(?<name>[^/]+)$/, deployment, 'deployments'],
  [/^runs$/, runs, 'runs'],
  [/^experiments(\/(?<experiment>[^/]+))?$/, runs, 'runs'],
  [/^experiments\/[^/]+\/runs\/(?<id>[^/]+).*$/, run, 'runs'],
  [/^runs\/(?<id>[^/]+)$/, run, 'runs'],
  [/^pipelines(\/(?<name>[^/]+))?$/, pipelines, 'pipelines'],
  [/^trail$/, trail, 'trail'],
];

const screen = document.getElementById('screen');
let shown = { address: null, data: null, at: 0 };
let turn = 0;
let timer = null;

function route() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  for (const [pattern, module, nav] of ROUTES) {
    const match = pattern.exec(path);
    if (match) {
      const names = Object.entries(match.groups ?? {}).filter(([, value]) => value !== undefined);
      const params = Object.fromEntries(names.map(([name, value]) => [name, decodeURIComponent(value)]));
      return { module, nav, path, params, query: new URLSearchParams(query) };
    }
  }
  return null;
}

async function refresh() {
  clearTimeout(timer);
  const mine = ++turn;
  const at = route();
  try {
    if (!at) throw Object.assign(new Error('There is no such page.'), { hint: 'Choose one from the menu.' });
    const data = await at.module.load(at);
    if (mine !== turn) return;
    alive(true);
    show(at, data);
  } catch (error) {
    if (mine !== turn) return;
    alive(Boolean(error.status) || !at);
    if (error.status === 401) return ask();
    if (shown.address !== location.hash || error.status) fail(error);
  }
  if (!document.hidden) timer = setTimeout(refresh, POLL_MS);
}

function show(at, data) {
  const text = JSON.stringify(data);
  const fresh = performance.now() - shown.at < STALE_MS;
  if (fresh && shown.address === location.hash && shown.data === text) return;
  const elsewhere = shown.path !== at.path;
  shown = { address: location.hash, path: at.path, data: text, at: performance.now() };
  const title = at.module.title(at, data);
  document.title = title === 'Overview' ? 'Rondo' : `${title} · Rondo`;
  for (const entry of document.querySelectorAll('[data-nav]')) {
    if (entry.dataset.nav === at.nav) entry.setAttribute('aria-current', 'page');
    else entry.removeAttribute('aria-current');
  }
  const following = [...screen.querySelectorAll('pre.log')].every((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 8);
  patch(screen.firstElementChild, h('div', { 'data-key': at.path }, at.module.view(data, at, refresh)));
  if (following || elsewhere) for (const log of screen.querySelectorAll('pre.log')) log.scrollTop = log.scrollHeight;
  if (elsewhere) scrollTo(0, 0);
}

function fail(error) {
  shown = { address: location.hash, data: null, at: 0 };
  patch(screen.firstElementChild, h('div', { 'data-key': 'error' }, h('div', { class: 'card empty' },
    h('h3', null, error.status === 404 ? 'Not here' : 'This cannot be shown'), h('p', null, error.message), error.hint && h('p', { class: 'quiet' }, error.hint))));
}

/** Shows the page to sign in, once: what somebody types there stays. */
async function ask() {
  shown = { address: location.hash, data: null, at: 0 };
  if (screen.querySelector('[data-key="sign-in"]')) return;
  document.title = 'Sign in · Rondo';
  showAccount(again);
  patch(screen.firstElementChild, await signInPage(again));
}

/** Somebody else, or somewhere else: everything is asked for anew. */
function again() {
  shown = { address: null, data: null, at: 0 };
  screen.firstElementChild.replaceWith(h('div', null));
  showAccount(again);
  refresh();
}

function alive(is) {
  document.getElementById('live').classList.toggle('lost', !is);
  document.getElementById('live-text').textContent = is ? 'live' : 'the server does not answer';
}

/** g o, g m, g d, g r, g p, g t go somewhere; / finds the filter. */
const PLACES = { o: '#/', m: '#/models', d: '#/deployments', r: '#/runs', p: '#/pipelines', t: '#/trail' };
let going = false;
addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const filter = screen.querySelector('input[type="search"]');
  if (event.key === '/' && filter) {
    event.preventDefault();
    filter.focus();
  } else if (going && PLACES[event.key]) location.hash = PLACES[event.key];
  going = event.key === 'g';
});

addEventListener('hashchange', refresh);
document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : refresh()));
showAccount(again);
refresh();
