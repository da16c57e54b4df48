// A call over time, drawn by hand: strips one above the other, with one axis of time.

import { s, setText, h } from './dom.js';
import { clock, latency } from './words.js';

const LEFT = 60;
const RIGHT = 12;
const TOP = 8;
const BOTTOM = 20;
const HEIGHT = 104;

/**
 * @typedef {object} Strip
 * @property {string} title
 * @property {string} desc what is to be seen, in a sentence
 * @property {number} min
 * @property {number} max
 * @property {(value: number) => string} words
 * @property {'stems'|'area'} shape
 * @property {[number, number][]} points `[atMs, value]`, in the order of time
 * @property {number} [stepMs] of an area: how long a point lasts
 */

/** The next of 1, 2, 5, 10, 20, ... that is not below `value`. */
export function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((nice) => nice >= value * 0.9999);
}

/** Ticks of a call's clock: at most about one each 90 pixels, at whole times. */
function timeTicks(lengthMs, width) {
  const most = Math.max(2, Math.floor(width / 90));
  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400];
  const step = 1_000 * (steps.find((seconds) => lengthMs / seconds / 1_000 <= most) ?? 86_400);
  return Array.from({ length: Math.floor(lengthMs / step) + 1 }, (_, index) => index * step);
}

/**
 * A figure that shows strips of one call. `draw` may be called as often as there is news.
 * @returns {{figure: HTMLElement, draw: (strip: Strip, time: {lengthMs: number, outages: {from: number, to: number}[],
 *   cuts: number[]}) => void}}
 */
export function plot(id) {
  const title = s('title', { id: `${id}-title` });
  const desc = s('desc', { id: `${id}-desc` });
  const ink = s('g');
  const hair = s('line', { class: 'hair', y1: TOP, y2: HEIGHT - BOTTOM });
  const image = s('svg', { role: 'img', 'aria-labelledby': `${id}-title ${id}-desc` }, title, desc, ink, hair);
  const name = h('span');
  const reading = h('span', { class: 'reading' });
  const figure = h('figure', { class: 'plot' }, h('figcaption', {}, name, reading), image);
  let last = null;
  let drawn = '';

  const redraw = () => {
    if (!last || !figure.isConnected) return;
    const [strip, time] = last;
    const width = Math.max(200, image.clientWidth || figure.clientWidth);
    const what = JSON.stringify([width, strip, time]);
    if (what === drawn) return;
    drawn = what;
    setText(name, strip.title);
    setText(title, strip.title);
    setText(desc, strip.desc);
    setText(reading, strip.desc);
    image.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    image.setAttribute('height', HEIGHT);
    ink.replaceChildren(...marks(strip, time, width));
  };
  new ResizeObserver(redraw).observe(figure);

  image.addEventListener('pointermove', (event) => {
    if (!last || last[0].points.length === 0) return;
    const [{ points, words, stepMs = 0 }, { lengthMs }] = last;
    const box = image.getBoundingClientRect();
    const at = ((event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * lengthMs - stepMs / 2;
    const nearest = points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best));
    const x = LEFT + ((nearest[0] + stepMs / 2) / lengthMs) * (box.width - LEFT - RIGHT);
    hair.setAttribute('x1', x);
    hair.setAttribute('x2', x);
    hair.classList.add('on');
    setText(reading, `${words(nearest[1])} at ${clock(nearest[0])}`);
  });
  image.addEventListener('pointerleave', () => {
    hair.classList.remove('on');
    if (last) setText(reading, last[0].desc);
  });

  return {
    figure,
    draw(strip, time) {
      last = [strip, { ...time, lengthMs: Math.max(1_000, time.lengthMs) }];
      redraw();
    },
  };
}

function marks({ shape, points, min, max, words, stepMs }, { lengthMs, outages, cuts }, width) {
  const x = (ms) => (LEFT + (Math.min(ms, lengthMs) / lengthMs) * (width - LEFT - RIGHT)).toFixed(1);
  const floor = HEIGHT - BOTTOM;
  const y = (value) => {
    const share = (Math.min(max, Math.max(min, value)) - min) / (max - min);
    return (floor - share * (floor - TOP)).toFixed(1);
  };
  const grid = [min, (min + max) / 2, max].flatMap((value) => [
    s('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
    s('text', { class: 'tick', x: LEFT - 8, y: Number(y(value)) + 4, 'text-anchor': 'end' }, words(value)),
  ]);
  const ticks = timeTicks(lengthMs, width - LEFT - RIGHT).map((ms) =>
    s('text', { class: 'tick', x: x(ms), y: HEIGHT - 4, 'text-anchor': ms === 0 ? 'start' : 'middle' }, clock(ms)),
  );
  const away = outages.map(({ from, to }) =>
    s('rect', { class: 'away', x: x(from), y: TOP, width: Math.max(2, x(to) - x(from)), height: floor - TOP }),
  );
  const cutting = cuts.map((ms) => s('line', { class: 'cut', x1: x(ms), x2: x(ms), y1: TOP, y2: floor }));
  const ink =
    shape === 'stems'
      ? points.flatMap(([at, value]) => [
          s('line', { class: 'stem', x1: x(at), x2: x(at), y1: floor, y2: y(value) }),
          s('circle', { class: 'dot', cx: x(at), cy: y(value), r: 3.5 }),
        ])
      : area(points, stepMs, x, y, floor);
  return [...away, ...grid, ...ink, ...cutting, ...ticks];
}

function area(points, stepMs, x, y, floor) {
  if (points.length === 0) return [];
  const steps = points.map(([at, value]) => `L${x(at)},${y(value)}H${x(at + stepMs)}`).join('');
  return [s('path', { class: 'area', d: `M${x(points[0][0])},${floor}${steps}V${floor}Z` })];
}

const EDGES = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

/**
 * A histogram as rows of `[from, to, count, share of the largest]`, in steps of 1, 2, 5: what the service counts is finer
 * than anybody reads.
 * @param {[number, number][]} buckets upper bound in ms, and count
 */
export function histogramRows(buckets) {
  const sums = new Map();
  for (const [upper, count] of buckets) {
    const index = EDGES.findIndex((edge) => upper <= edge * 1.0001);
    const at = index < 0 ? EDGES.length : index;
    sums.set(at, (sums.get(at) ?? 0) + count);
  }
  if (sums.size === 0) return [];
  const [first, last] = [Math.min(...sums.keys()), Math.max(...sums.keys())];
  const largest = Math.max(...sums.values());
  return Array.from({ length: last - first + 1 }, (_, offset) => {
    const index = first + offset;
    const number = sums.get(index) ?? 0;
    return { label: label(EDGES[index - 1], EDGES[index]), count: number, share: number / largest };
  });
}

function label(from, to) {
  const bound = (ms) => (ms < 1_000 ? `${ms} ms` : latency(ms).replace('.00', ''));
  if (to === undefined) return `over ${bound(from)}`;
  return from === undefined
    ? `up to ${bound(to)}`
    : `${from < 1_000 && to < 1_000 ? from : bound(from)} – ${bound(to)}`;
}
