// Numbers and times as people read them. Event time is shown as dates in UTC, wall-clock time relative to now.

const whole = new Intl.NumberFormat('en');
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const count = (n) => (n === null || n === undefined ? '–' : whole.format(n));
export const short = (n) => (n === null || n === undefined ? '–' : n < 10_000 ? whole.format(n) : compact.format(n));

/** Four significant digits at most. */
export function number(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return '–';
  if (Number.isInteger(x) && Math.abs(x) < 1e9) return whole.format(x);
  if (Math.abs(x) >= 1e6 || Math.abs(x) < 1e-4) return x.toExponential(2);
  return String(Number(x.toPrecision(4)));
}

/** Four significant digits exactly, so that a column of them lines up. */
export const fixed = (x) => (Number.isInteger(x) || Math.abs(x) >= 1e4 || Math.abs(x) < 1e-3 ? number(x) : x.toPrecision(4));

/** The digits a metric with this interval deserves. */
export function measured(x, low, high) {
  if (x === null || x === undefined) return '–';
  const width = high - low;
  const digits = width > 0 ? Math.min(5, Math.max(1, Math.ceil(-Math.log10(width)) + 1)) : 3;
  return x.toFixed(digits);
}

export const signed = (x, low, high) => (x > 0 ? '+' : '') + measured(x, low, high).replace('-', '−');
export function percent(x) {
  if (x === null || x === undefined) return '–';
  if (x > 0 && x < 0.0005) return '< 0.1 %';
  return `${(100 * x).toFixed(x > 0 && x < 0.1 ? 1 : 0)} %`;
}

/** A probability; zero is only too small to be told. */
export const chance = (p) => (p === 0 ? '< 1e-300' : `= ${number(p)}`);

const dateOf = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });
const dayMonth = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });

export const date = (us) => (us ? dateOf.format(us / 1000) : '–');
export const dayOf = (us) => dayMonth.format(us / 1000);
/** A window by its days; the end is exclusive. */
export const span = (from, until) => (until - from > 864e8 ? `${dayOf(from)} – ${date(until - 1)}` : date(from));
export const iso = (us) => new Date(us / 1000).toISOString();

/** How long, in the largest unit that fits. */
export function duration(us) {
  const seconds = us / 1e6;
  if (seconds < 0.0995) return `${Math.max(0, Math.round(us / 1000))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  for (const [unit, size] of [['d', 86_400], ['h', 3600], ['min', 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

export function ago(us) {
  const past = Date.now() * 1000 - us;
  return past < 5e6 ? 'just now' : `${duration(past)} ago`;
}

const METRICS = {
  auc: 'AUC', brier: 'Brier score', log_loss: 'Log loss', ece: 'Calibration error', accuracy: 'Accuracy',
  mae: 'MAE', rmse: 'RMSE', bias: 'Bias', calibration_error: 'Calibration error',
};
export const metricName = (metric) => METRICS[metric] ?? metric.replaceAll('_', ' ');

/** `person:ada` or `system:conductor` as a word. */
export const actor = (text) => (text ?? '').replace(/^(person|system):/, '').replaceAll(':', ' ');
