// Who is signed in, and where: the foot of the menu, and the page on which somebody signs in.

import { enter, get, post, remove, workspace } from './api.js';
import { h, patch } from './dom.js';

const box = document.getElementById('who');

/** Shows who is signed in; `changed` is called when that, or the workspace, is another. */
export async function showAccount(changed) {
  const me = await get('/me').catch((error) => {
    // A workspace that is gone, or closed to whoever signed in now.
    if (workspace() && [403, 404].includes(error.status)) {
      enter(null);
      return get('/me').catch(() => null);
    }
    return null;
  });
  const inside = me ? whoAndWhere(me, changed) : [];
  patch(box.firstElementChild, h('div', { 'data-key': me ? me.principal : 'nobody' }, inside));
}

function whoAndWhere(me, changed) {
  const move = (event) => {
    enter(event.target.value);
    changed();
  };
  const leave = async () => {
    await remove('/session').catch(() => null);
    enter(null);
    changed();
  };
  const choices = me.workspaces ?? [];
  const switcher = choices.length > 1 && h('label', { class: 'small' }, 'Workspace ',
    h('select', { id: 'workspace', onchange: move }, choices.map((name) => h('option', { value: name, selected: name === me.workspace }, name))));
  const lone = choices.length === 1 && choices[0] !== 'default' && h('p', { class: 'small quiet' }, `in ${choices[0]}`);
  if (!me.authenticates) return [switcher];
  const [kind, name] = me.principal.split(/:(.*)/);
  return [
    switcher, lone,
    h('p', { class: 'small', id: 'me' }, h('span', { title: kind }, name), h('span', { class: 'quiet' }, ` ${me.role}`)),
    h('button', { type: 'button', id: 'sign-out', class: 'action', onclick: leave }, 'Sign out'),
  ];
}

/** The page on which somebody signs in. */
export async function signInPage(done) {
  const { provider } = await get('/session').catch(() => ({}));
  const value = (id) => document.getElementById(id).value;
  const sign = (proof) => async (event) => {
    event.preventDefault();
    const told = document.getElementById('told');
    told.textContent = '';
    try {
      await post('/session', proof());
      enter(null);
      done();
    } catch (wrong) {
      told.textContent = wrong.message;
    }
  };
  const field = (id, label, type, autocomplete) => [
    h('label', { for: id }, label), h('input', { id, type, autocomplete, required: true, spellcheck: 'false' }),
  ];
  const back = encodeURIComponent(`/${location.hash}`);
  return h('div', { 'data-key': 'sign-in' }, h('section', { class: 'card sign-in' },
    h('h1', null, 'Sign in'),
    h('p', { class: 'quiet' }, 'This server asks who calls.'),
    h('p', { id: 'told', role: 'alert', class: 'told' }),
    provider && [
      h('p', null, h('a', { class: 'go', id: 'oidc', href: `/auth/oidc/start?return=${back}` }, 'Sign in at your organisation')),
      h('p', { class: 'quiet small' }, provider),
    ],
    h('form', { id: 'by-password', onsubmit: sign(() => ({ user: value('user').trim(), password: value('password') })) },
      field('user', 'User', 'text', 'username'), field('password', 'Password', 'password', 'current-password'),
      h('button', { type: 'submit', class: 'action main' }, 'Sign in')),
    h('details', null, h('summary', null, 'With a token'),
      h('form', { id: 'by-token', onsubmit: sign(() => ({ token: value('token').trim() })) },
        field('token', 'Token', 'password', 'off'), h('button', { type: 'submit', class: 'action main' }, 'Sign in')),
      h('p', { class: 'quiet small' }, 'An admin makes one with: rondo token create NAME --role viewer'))));
}
