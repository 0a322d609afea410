/* SPDX-License-Identifier: Apache-2.0 */
#include "tinypose_decode.h"

/* Return the direction of the higher neighbour: -1, 0 or 1.
 *
 * cell: the peak; stride: values from a cell to the next one along the axis.
 */
static int32_t uphill(const int8_t *cell, int32_t stride, int32_t peak,
                      int32_t size) {
  if (peak == 0 || peak == size - 1) {
    return 0;
  }
  return (cell[stride] > cell[-stride]) - (cell[stride] < cell[-stride]);
}

/* Return the input position of a peak in 1/256 pixels, rounded half up.
 *
 * The edges of cells and pixels agree: with the position counted in quarters of
 * a cell from the edge, pixel = quarters / 4 * input / size - 1/2.
 */
static int32_t position(int32_t peak, int32_t step, int32_t size, int32_t input) {
  uint32_t quarters = (uint32_t)(4 * peak + 2 + step);
  uint32_t scaled = quarters * (TINYPOSE_ONE_PIXEL / 4) * (uint32_t)input;
  uint32_t rounded = (scaled + (uint32_t)size / 2) / (uint32_t)size;
  return (int32_t)rounded - TINYPOSE_ONE_PIXEL / 2;
}

/* Return the score, cut to 0..255, of a value. */
static uint8_t score(int32_t value, int32_t zero_point, uint32_t multiplier) {
  const uint32_t one = (uint32_t)TINYPOSE_SCORE_ONE << TINYPOSE_SCORE_SHIFT;
  const uint32_t half = (uint32_t)1 << (TINYPOSE_SCORE_SHIFT - 1);
  uint32_t steps;
  if (value <= zero_point || multiplier == 0) {
    return 0;
  }
  steps = (uint32_t)(value - zero_point);
  /* The comparison keeps the product below from overflowing. */
  if (steps > one / multiplier) {
    return TINYPOSE_SCORE_ONE;
  }
  return (uint8_t)((steps * multiplier + half) >> TINYPOSE_SCORE_SHIFT);
}

/* Return the index of the highest of so many cells, the first on a tie. */
static int32_t highest(const int8_t *map, int32_t num_cells, int32_t stride) {
  const int8_t *cell = map;
  int8_t top = *map;
  int32_t peak = 0;
  int32_t index;
  for (index = 1; index < num_cells; index++) {
    cell += stride;
    if (*cell > top) {
      top = *cell;
      peak = index;
    }
  }
  return peak;
}

void tinypose_decode(const tinypose_heatmaps_t *format, const int8_t *heatmaps,
                     tinypose_keypoint_t *keypoints) {
  const int32_t count = format->num_keypoints;
  const int32_t width = format->width;
  const int32_t height = format->height;
  int32_t k;
  for (k = 0; k < count; k++) {
    const int8_t *map = heatmaps + k;
    const int32_t peak = highest(map, height * width, count);
    const int32_t x = peak % width;
    const int32_t y = peak / width;
    const int8_t *cell = map + peak * count;
    const int32_t step_x = uphill(cell, count, x, width);
    const int32_t step_y = uphill(cell, width * count, y, height);
    keypoints[k].x = position(x, step_x, width, format->input_width);
    keypoints[k].y = position(y, step_y, height, format->input_height);
    keypoints[k].score =
        score(*cell, format->zero_point, format->score_multiplier);
  }
}
