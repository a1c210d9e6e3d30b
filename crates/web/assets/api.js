// The one door to the server: /api/v1, with a timeout, and errors that say what the server said.

const TIMEOUT_MS = 10_000;

/** The token of this tab, if the server asks who calls. It goes with the tab, and no other page can make a browser send it. */
const KEY = 'rondo-token';
export const signIn = (token) => (token ? sessionStorage.setItem(KEY, token) : sessionStorage.removeItem(KEY));
const proof = () => {
  const token = sessionStorage.getItem(KEY);
  return token ? { authorization: `Bearer ${token}` } : {};
};

async function call(path, options) {
  const answer = await fetch(`/api/v1${path}`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
    credentials: 'omit',
    ...options,
    headers: { ...proof(), ...options?.headers },
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const error = new Error(said.error?.message ?? `${path} answered ${answer.status}`);
  error.hint = said.error?.hint;
  error.status = answer.status;
  throw error;
}

export const get = async (path) => (await call(path)).json();
export const text = async (path) => (await call(path)).text();
export const post = async (path, body) =>
  (await call(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).json();

/** The answer, or `otherwise` where the thing does not exist (yet). */
export const getOr = (path, otherwise) =>
  get(path).catch((error) => {
    if (error.status === 404) return otherwise;
    throw error;
  });

/** A path with one user-given segment in it. */
export const segment = (name) => encodeURIComponent(name);
