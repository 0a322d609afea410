/* Poses in a browser, from a file that tinypose exported: picture in, keypoints out.
 *
 *   import {Predictor, Tracker, drawPose} from './tinypose.js';
 *   const predictor = await Predictor.load('model.tflite', {wasm: WASM_FOLDER});
 *   const pose = await predictor.predict(image);        // an <img>, canvas, bitmap
 *   const tracker = new Tracker(predictor);
 *   const next = await tracker.predict(video, seconds); // frame by frame
 *
 * Boxes are [x, y, width, height] and keypoints {name, x, y, score} in pixels of the
 * picture; integers are pixel centres. Nothing leaves the browser.
 */
import {getGlobalLiteRtPromise, loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';

/* The rules by which `tinypose predict` looks for people, and their numbers. */
const SURE_SCORE = 0.5;
const CONFIDENT_SHARE = 0.7;
const LEAST_SCORE = 0.08;
const MIN_CONFIDENT = 3;
const MAX_PASSES = 3;
const SAME_BOX = 0.9;
const WINDOW_SIDES = [0.75, 0.5, 0.33];
const WINDOW_STEP = 0.4;
const CLEARLY_BETTER = 1.07;
const NUM_REFINED = 3;
const FOUND_SHARE = 0.65;
const LEAST_MEAN_SCORE = 0.2;
const LOST_SHARE = 0.7;
const LEARN = 0.1;
const SEARCH_EVERY = 5;
const LOOK_AROUND_EVERY = 10;
const KEEP_CHOSEN = 10;
const NEARBY = 0.5;
const SAME_PERSON = 0.2;
const SLENDER = 0.3;
const MARGIN = 0.2;
const FOLLOW = 0.4;
const MIN_BOX_SIDE = 8;

/** Predicts one person in a picture. */
export class Predictor {
  /**
   * Load a complete `.tflite` file and what runs it.
   *
   * @param {string} url Of the file.
   * @param {{wasm: string, accelerator?: string}} options The folder of LiteRT.js's
   *     WebAssembly files, and what computes: 'wasm' or 'webgpu'.
   */
  static async load(url, {wasm, accelerator = 'wasm'}) {
    const response = await fetch(url);
    if (!response.ok) {
      throw new Error(`${url}: expected a model, found HTTP status ${response.status}`);
    }
    const bytes = new Uint8Array(await response.arrayBuffer());
    const metadata = await readMetadata(bytes);
    if (metadata.output !== 'keypoints') {
      throw new Error(`${url}: expected a file that gives keypoints, not --heads`);
    }
    // It may be there already, for another model of the page. What failed once, as
    // where the network was away, is tried again.
    await (getGlobalLiteRtPromise() ?? loadLiteRt(wasm));
    return new Predictor(await loadAndCompile(bytes, {accelerator}), metadata);
  }

  constructor(model, metadata) {
    this.model = model;
    this.metadata = metadata;
    this.skeleton = metadata.skeleton;
    const [height, width] = metadata.input_hw;
    this.crop = newCanvas(width, height);
    this.pixels = new Uint8Array(height * width * 3);
  }

  /** Below this mean score, what is found is hardly a person. */
  get leastScore() {
    return FOUND_SHARE * this.metadata.usual_score || LEAST_MEAN_SCORE;
  }

  /**
   * Return the pose of one person.
   *
   * @param {CanvasImageSource} picture
   * @param {number[] | null} box The person's tight box; null searches the picture.
   */
  async predict(picture, box = null) {
    const numbers = [...sizeOf(picture), ...(box ?? [])];
    if (!numbers.every(Number.isFinite) || !(numbers[0] > 0 && numbers[1] > 0)) {
      throw new Error(
        `expected a picture with pixels and a box of numbers, found ${numbers}; `
          + 'has the video begun?');
    }
    if (!box) {
      return this.search(picture);
    }
    const [x, y, width, height] = box;
    const hasSize = box.length === 4 && Math.min(width, height) >= 0
      && Math.max(width, height) > 0;
    const extent = [x, y, Math.max(width, 1e-3), Math.max(height, 1e-3)];
    if (!hasSize || !overlap(extent, pictureBox(picture))) {
      throw new Error(
        'expected a box [x, y, width, height] that overlaps the picture of '
          + `${sizeOf(picture).join('x')} pixels, found ${box}`);
    }
    return this.predictBox(picture, box);
  }

  /** Free what the model holds. */
  delete() {
    this.model.delete();
  }

  async predictBox(picture, box) {
    const {left, top, scale} = cropOf(box, this.metadata);
    drawCrop(this.crop, picture, left, top, scale);
    const [height, width] = this.metadata.input_hw;
    const context = this.crop.getContext('2d', {willReadFrequently: true});
    const {data} = context.getImageData(0, 0, width, height);
    for (let from = 0, to = 0; from < data.length; from += 4) {
      this.pixels[to++] = data[from];
      this.pixels[to++] = data[from + 1];
      this.pixels[to++] = data[from + 2];
    }
    const values = await this.run(new Tensor(this.pixels, [1, height, width, 3]));
    const keypoints = this.skeleton.keypoints.map((name, index) => ({
      name,
      x: left + (values[3 * index] + 0.5) * scale - 0.5,
      y: top + (values[3 * index + 1] + 0.5) * scale - 0.5,
      score: Math.min(Math.max(values[3 * index + 2], 0), 1),
    }));
    return {keypoints, score: meanScore(keypoints), box};
  }

  /** Return the numbers that come of a tensor; nothing is left in the runtime. */
  async run(input) {
    let outputs = [];
    try {
      outputs = await this.model.run(input);
      return await outputs[0].data();
    } finally {
      [input, ...outputs].forEach((tensor) => tensor.delete());
    }
  }

  async search(picture) {
    const {padding} = this.metadata;
    const best = await this.refine(
      picture, await this.predictBox(picture, wholeBox(picture, padding)));
    if (best.score >= SURE_SCORE) {
      return best;
    }
    const windows = [];
    for (const box of windowBoxes(picture, padding)) {
      windows.push(await this.predictBox(picture, box));
    }
    windows.sort((first, second) => second.score - first.score);
    let found = null;
    for (const start of windows.slice(0, NUM_REFINED)) {
      const pose = await this.refine(picture, start);
      found = found && found.score >= pose.score ? found : pose;
    }
    return found && found.score > CLEARLY_BETTER * best.score ? found : best;
  }

  /** Look closer, pass by pass. */
  async refine(picture, start) {
    // A regression does not say how sure it is.
    const graded = this.metadata.heatmap_hw !== null;
    let best = start;
    let latest = start;
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      const box = personBox(latest.keypoints);
      if (!box || overlap(box, latest.box) >= SAME_BOX) {
        break;
      }
      latest = await this.predictBox(picture, box);
      if (latest.score > best.score || (!graded && latest.score >= SURE_SCORE)) {
        best = latest;
      }
    }
    return best;
  }
}

/**
 * Follows one person from frame to frame, and steadies the keypoints.
 *
 * With `box`, of the first frame, it is that person, who is waited for where they are
 * hidden; for several people, make a tracker of each.
 */
export class Tracker {
  constructor(predictor, {smooth = true, box = null} = {}) {
    this.predictor = predictor;
    this.filter = smooth ? new OneEuroFilter() : null;
    this.reset();
    this.box = box && [box[0], box[1], Math.max(box[2], 1), Math.max(box[3], 1)];
    this.isChosen = box !== null;
  }

  /** Forget the person: the next frame is searched. */
  reset() {
    this.box = this.seen = null;
    this.isChosen = false;
    this.framesLost = 0;
    this.framesFollowed = 0;
    this.usualScore = 0;
    this.filter?.reset();
  }

  /**
   * Return the pose in the next frame, with `found`: whether to believe it.
   *
   * @param {CanvasImageSource} frame
   * @param {number} seconds When the frame is shown; must grow.
   */
  async predict(frame, seconds) {
    if (this.isChosen && !this.seen && !this.framesLost
        && !overlap(this.box, pictureBox(frame))) {
      throw new Error(`expected a box that overlaps the picture, found ${this.box}`);
    }
    const followed = await this.follow(frame);
    let pose;
    let found = true;
    if (followed) {
      pose = await this.lookAround(frame, followed);
    } else if (this.isChosen) {
      pose = await this.lookNearby(frame);
      found = !this.isLost(pose) && this.isSame(pose);
    } else {
      pose = await this.look(frame);
      found = !this.isLost(pose);
    }
    const isSame = this.isSame(pose) || pose === followed && !tightBox(pose);
    if (this.filter && !(found && isSame)) {
      this.filter.reset();  // the keypoints of two people have no mean
    }
    if (found) {
      this.keep(pose);
    } else {
      this.lose();
    }
    return {...this.steady(pose, seconds, found), found};
  }

  isLost(pose) {
    return !(pose.score >= Math.max(this.predictor.leastScore, LOST_SHARE * this.usualScore));
  }

  isSame(pose) {
    const seen = tightBox(pose);
    const before = this.seen ?? this.box;
    return Boolean(
      seen && before && overlap(thickBox(seen), thickBox(before)) >= SAME_PERSON);
  }

  async follow(frame) {
    if (!this.box || !overlap(this.box, pictureBox(frame))) {
      return null;
    }
    const pose = await this.predictor.predict(frame, this.box);
    // A neighbour in the same crop may be easier to see than the chosen person.
    // (Too few keypoints that count say nothing of where it is.)
    const canTell = this.seen && tightBox(pose);
    const isOther = this.isChosen && canTell && !this.isSame(pose);
    return isOther || this.isLost(pose) ? null : pose;
  }

  /* A weak model can creep, box by box, onto a part of the person, and be content. */
  async lookAround(frame, pose) {
    if (this.framesFollowed % LOOK_AROUND_EVERY !== LOOK_AROUND_EVERY - 1) {
      return pose;
    }
    const other = await this.predictor.predict(frame);
    const mayChange = !this.isChosen || this.isSame(other);
    return mayChange && other.score > CLEARLY_BETTER * pose.score ? other : pose;
  }

  /* Around their last box; then closer. */
  async lookNearby(frame) {
    const picture = pictureBox(frame);
    const around = enlargeBox(
      this.box, 2 * NEARBY * Math.max(this.box[2], this.box[3]));
    if (!overlap(around, picture)) {
      return this.predictor.predict(frame, picture);
    }
    const pose = await this.predictor.predict(frame, around);
    const seen = tightBox(pose);
    if (!seen || !overlap(seen, picture)) {
      return pose;
    }
    const closer = await this.predictor.predict(frame, seen);
    return closer.score > pose.score ? closer : pose;
  }

  /* Thoroughly on some frames only: it is costly. */
  async look(frame) {
    const thorough = this.framesLost % SEARCH_EVERY === 0;
    return this.predictor.predict(frame, thorough ? null : pictureBox(frame));
  }

  keep(pose) {
    this.framesLost = 0;
    this.framesFollowed += 1;
    this.box = this.nextBox(pose);
    this.seen = tightBox(pose) ?? this.seen;
    const usual = this.usualScore || pose.score;
    this.usualScore = usual + LEARN * (pose.score - usual);
  }

  lose() {
    this.framesLost += 1;
    this.framesFollowed = 0;
    if (this.framesLost >= SEARCH_EVERY) {
      this.usualScore = 0;
    }
    if (!this.isChosen || this.framesLost >= KEEP_CHOSEN) {
      this.box = this.seen = null;
      this.isChosen = false;
    }
  }

  nextBox(pose) {
    const seen = tightBox(pose);
    if (!seen) {
      return pose.box;
    }
    const expected = enlargeBox(seen, MARGIN * Math.max(seen[2], seen[3]));
    return pose.box.map((value, index) => value + FOLLOW * (expected[index] - value));
  }

  steady(pose, seconds, found) {
    if (!this.filter || !found) {
      return pose;
    }
    const size = Math.max(pose.box[2], pose.box[3]);
    return {...pose, keypoints: this.filter.apply(pose.keypoints, seconds, size)};
  }
}

/** Steady at rest, quick in motion: Casiez et al., CHI 2012. */
export class OneEuroFilter {
  /** Cutoffs in Hz, beta in Hz per person size per second. */
  constructor({minCutoff = 1.5, beta = 6.0, speedCutoff = 1.0} = {}) {
    Object.assign(this, {minCutoff, beta, speedCutoff});
    this.reset();
  }

  reset() {
    this.state = null;
  }

  apply(keypoints, seconds, size) {
    if (!this.state) {
      const state = keypoints.map(({x, y}) => ({x, y, speedX: 0, speedY: 0}));
      this.state = {state, seconds};
      return keypoints;
    }
    const step = Math.max(seconds - this.state.seconds, 1e-3);
    this.state.seconds = seconds;
    return keypoints.map((keypoint, index) => {
      const point = this.state.state[index];
      const slow = share(this.speedCutoff, step);
      point.speedX += slow * ((keypoint.x - point.x) / step - point.speedX);
      point.speedY += slow * ((keypoint.y - point.y) / step - point.speedY);
      const speed = Math.hypot(point.speedX, point.speedY) / Math.max(size, 1);
      const quick = share(this.minCutoff + this.beta * speed, step);
      point.x += quick * (keypoint.x - point.x);
      point.y += quick * (keypoint.y - point.y);
      return {...keypoint, x: point.x, y: point.y};
    });
  }
}

/**
 * Draw a skeleton onto a canvas of the picture's size; the person's left is blue.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {{keypoints: object[]}} pose
 * @param {object} skeleton That of the predictor.
 */
export function drawPose(context, pose, skeleton, leastScore = 0.1) {
  const byName = new Map(pose.keypoints.map((keypoint) => [keypoint.name, keypoint]));
  const size = Math.max(context.canvas.width, context.canvas.height);
  context.lineCap = 'round';
  context.lineWidth = Math.max(2, size / 200);
  for (const ends of skeleton.edges) {
    const [first, second] = ends.map((name) => byName.get(name));
    if (Math.min(first.score, second.score) < leastScore) {
      continue;
    }
    context.strokeStyle = colour(ends.find((name) => colour(name) !== MIDDLE) ?? '');
    context.beginPath();
    context.moveTo(first.x + 0.5, first.y + 0.5);
    context.lineTo(second.x + 0.5, second.y + 0.5);
    context.stroke();
  }
  for (const {name, x, y, score} of pose.keypoints) {
    if (score >= leastScore) {
      context.fillStyle = colour(name);
      context.beginPath();
      context.arc(x + 0.5, y + 0.5, 0.8 * context.lineWidth, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

/** Return what a model file says of itself: the archive behind the network. */
export async function readMetadata(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) {
    end--;
  }
  // Offsets of the archive count from its own beginning or from the file's.
  const size = end < 0 ? 0 : view.getUint32(end + 12, true);
  const entry = end - size;
  if (end < 0 || view.getUint32(entry, true) !== 0x02014b50) {
    throw new Error('expected a model with tinypose metadata, found none');
  }
  const shift = entry - view.getUint32(end + 16, true);
  const local = shift + view.getUint32(entry + 42, true);
  const packed = view.getUint32(entry + 20, true);
  const begin = local + 30 + view.getUint16(local + 26, true)
    + view.getUint16(local + 28, true);
  const member = new Blob([bytes.slice(begin, begin + packed)]);
  const isPacked = view.getUint16(entry + 10, true) === 8;
  const stream = isPacked
    ? member.stream().pipeThrough(new DecompressionStream('deflate-raw'))
    : member.stream();
  return new Response(stream).json();
}

/**
 * Return the crop of a box: its left and top edge, and picture pixels per pixel of it.
 *
 * Edges, not centres: the left edge of the picture is 0, that of a box x + 1/2.
 */
export function cropOf(box, {input_hw: [height, width], padding}) {
  const side = Math.max(box[2], (box[3] * width) / height, MIN_BOX_SIDE) * padding;
  const scale = side / width;
  return {
    left: box[0] + box[2] / 2 + 0.5 - side / 2,
    top: box[1] + box[3] / 2 + 0.5 - (scale * height) / 2,
    scale,
  };
}

/** Return the box of the confident keypoints, or null if there are too few. */
export function personBox(keypoints) {
  const least = Math.max(CONFIDENT_SHARE * meanScore(keypoints), LEAST_SCORE);
  const confident = keypoints.filter(({score}) => score >= least);
  if (confident.length < Math.min(MIN_CONFIDENT, keypoints.length)) {
    return null;
  }
  const xs = confident.map(({x}) => x);
  const ys = confident.map(({y}) => y);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  const box = [x, y, Math.max(...xs) - x, Math.max(...ys) - y];
  const side = Math.max(box[2], box[3]);
  const missing = 1 - confident.length / keypoints.length;
  return side > 0 ? enlargeBox(box, 0.5 * side * missing) : null;
}

/* A single keypoint has no box; around it is one with which the size stays. */
function tightBox({keypoints, box}) {
  if (keypoints.length !== 1 || keypoints[0].score < LEAST_SCORE) {
    return personBox(keypoints);
  }
  const [width, height] = [box[2] / (1 + MARGIN), box[3] / (1 + MARGIN)];
  return [keypoints[0].x - width / 2, keypoints[0].y - height / 2, width, height];
}

/* The box of keypoints in a row is as thin as they tremble, and overlaps nothing. */
function thickBox([x, y, width, height]) {
  const side = SLENDER * Math.max(width, height);
  const [wide, high] = [Math.max(width, side), Math.max(height, side)];
  return [x + (width - wide) / 2, y + (height - high) / 2, wide, high];
}

/** Return the boxes whose padded crops cover the picture, overlapping. */
export function windowBoxes(picture, padding) {
  const [width, height] = sizeOf(picture);
  const boxes = [];
  for (const fraction of WINDOW_SIDES) {
    const side = fraction * Math.max(width, height);
    const inner = side / padding;
    for (const y of centres(height, side)) {
      for (const x of centres(width, side)) {
        boxes.push([x - inner / 2, y - inner / 2, inner, inner]);
      }
    }
  }
  return boxes;
}

/** Return the intersection over union of two boxes. */
export function overlap(first, second) {
  const common = [0, 1].reduce((product, axis) => {
    const low = Math.max(first[axis], second[axis]);
    const high = Math.min(
      first[axis] + first[axis + 2], second[axis] + second[axis + 2]);
    return product * Math.max(high - low, 0);
  }, 1);
  const areas = first[2] * first[3] + second[2] * second[3];
  return areas > common ? common / (areas - common) : 0;
}

const LEFT = '#3896ff';
const RIGHT = '#ff8018';
const MIDDLE = '#48d260';

function colour(name) {
  const words = name.replace(/^([LR])(?=[A-Z])/, '$1_').replace(/([a-z])(?=[A-Z])/g, '$1_')
    .toLowerCase().split(/[^a-z]+/);
  const has = (side) => words.includes(side) || words.length > 1 && words.includes(side[0]);
  return has('left') ? LEFT : has('right') ? RIGHT : MIDDLE;
}

function meanScore(keypoints) {
  return keypoints.reduce((sum, {score}) => sum + score, 0) / keypoints.length;
}

function share(cutoff, seconds) {
  return 1 / (1 + 1 / (2 * Math.PI * cutoff) / seconds);
}

function sizeOf(picture) {
  return [
    picture.videoWidth ?? picture.naturalWidth ?? picture.displayWidth ?? picture.width,
    picture.videoHeight ?? picture.naturalHeight ?? picture.displayHeight
      ?? picture.height,
  ];
}

function pictureBox(picture) {
  const [width, height] = sizeOf(picture);
  return [-0.5, -0.5, width, height];
}

function wholeBox(picture, padding) {
  const [x, y, width, height] = pictureBox(picture);
  const [innerWidth, innerHeight] = [width / padding, height / padding];
  return [
    x + (width - innerWidth) / 2, y + (height - innerHeight) / 2,
    innerWidth, innerHeight,
  ];
}

function enlargeBox([x, y, width, height], margin) {
  return [x - margin / 2, y - margin / 2, width + margin, height + margin];
}

function centres(length, side) {
  if (side >= length) {
    return [(length - 1) / 2];
  }
  const count = Math.ceil((length - side) / (WINDOW_STEP * side)) + 1;
  const [first, last] = [side / 2 - 0.5, length - side / 2 - 0.5];
  return Array.from(
    {length: count}, (_, index) => first + ((last - first) * index) / (count - 1));
}

function newCanvas(width, height) {
  return typeof OffscreenCanvas === 'undefined'
    ? Object.assign(document.createElement('canvas'), {width, height})
    : new OffscreenCanvas(width, height);
}

/* Paint a crop, black where the picture ends. What is much larger than the crop is
 * halved first, once or several times: else thin limbs alias. Only what the crop sees
 * is: browsers hold few canvases of a large photo's size. */
function drawCrop(crop, picture, left, top, scale) {
  const [width, height] = sizeOf(picture);
  const halvings = scale > 8 / 3 ? Math.ceil(Math.log2((3 * scale) / 8)) : 0;
  const x = seenRange(left, scale * crop.width, width, halvings);
  const y = seenRange(top, scale * crop.height, height, halvings);
  const context = crop.getContext('2d', {willReadFrequently: true});
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = 'black';
  context.fillRect(0, 0, crop.width, crop.height);
  if (!x.length || !y.length) {
    return;
  }
  let source = picture;
  let part = [x.begin, y.begin, x.length, y.length];
  for (let done = 0; done < halvings; done++) {
    const half = newCanvas(Math.ceil(part[2] / 2), Math.ceil(part[3] / 2));
    half.getContext('2d').drawImage(source, ...part, 0, 0, half.width, half.height);
    source = half;
    part = [0, 0, half.width, half.height];
  }
  context.setTransform(
    x.length / part[2] / scale, 0, 0, y.length / part[3] / scale,
    (x.begin - left) / scale, (y.begin - top) / scale);
  context.drawImage(source, ...part, 0, 0, part[2], part[3]);
}

/* Return what of a picture's length is seen, from and to a pixel that halving keeps
 * whole, with one more on each side to blend with. */
function seenRange(from, length, whole, halvings) {
  const step = 2 ** halvings;
  const begin = Math.max((Math.floor(from / step) - 1) * step, 0);
  const end = Math.min((Math.ceil((from + length) / step) + 1) * step, whole);
  return {begin, length: Math.max(end - begin, 0)};
}
