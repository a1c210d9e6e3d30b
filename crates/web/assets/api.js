// The one door to the server: /api/v1, with a timeout, and errors that say what the server said.

const TIMEOUT_MS = 10_000;

/** The workspace that this tab is in; none is the one that the caller belongs to. */
const KEY = 'rondo-workspace';
export const workspace = () => sessionStorage.getItem(KEY);
export const enter = (name) => (name ? sessionStorage.setItem(KEY, name) : sessionStorage.removeItem(KEY));
const place = () => (workspace() ? { 'x-mlflow-workspace': workspace() } : {});

/** Who calls is in a cookie that no script sees; the browser sends it from our own pages only. */
async function call(path, options) {
  const answer = await fetch(`/api/v1${path}`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
    credentials: 'same-origin',
    ...options,
    headers: { ...place(), ...options?.headers },
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

export const remove = async (path) => (await call(path, { method: 'DELETE' })).json();

/** The answer, or `otherwise` where the thing does not exist (yet). */
export const getOr = (path, otherwise) =>
  get(path).catch((error) => {
    if (error.status === 404) return otherwise;
    throw error;
  });

/** A path with one user-given segment in it. */
export const segment = (name) => encodeURIComponent(name);
