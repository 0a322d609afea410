/* SPDX-License-Identifier: Apache-2.0
 *
 * Decode int8 heatmaps to keypoints: C99, integers only, no memory of its own.
 *
 * The results are those of tinypose's HeatmapCodec.decode with the refinement
 * "quarter".
 */
#ifndef TINYPOSE_DECODE_H
#define TINYPOSE_DECODE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One input pixel in the unit of x and y, one in the unit of the score. */
#define TINYPOSE_ONE_PIXEL 256
#define TINYPOSE_SCORE_ONE 255

/* A score is (value - zero_point) * score_multiplier / 2**TINYPOSE_SCORE_SHIFT. */
#define TINYPOSE_SCORE_SHIFT 23

/* What the heatmaps of a model look like; NAME_model.h gives the one to use.
 *
 * height * input_height and width * input_width must lie below 2**23.
 */
typedef struct {
  uint16_t height; /* cells */
  uint16_t width;
  uint16_t num_keypoints;
  uint16_t input_height; /* pixels */
  uint16_t input_width;
  int16_t zero_point;
  uint32_t score_multiplier; /* at most 255 << TINYPOSE_SCORE_SHIFT */
} tinypose_heatmaps_t;

/* A keypoint in the crop that the network saw.
 *
 * Integer coordinates are pixel centres: x runs from -0.5 at the left edge to
 * width - 0.5 at the right one, y likewise from the top. Both count 1/256 of an
 * input pixel: exact where input / heatmap divides by 1/64 (a stride of 4 does),
 * else within half a unit. x and y of a score of 0 mean nothing.
 */
typedef struct {
  int32_t x;
  int32_t y;
  uint8_t score; /* 0 to 255 for 0 to 1 */
} tinypose_keypoint_t;

/* Return the network's input for one byte, 0 to 255, of a picture. */
static inline int8_t tinypose_input(uint8_t byte) {
  return (int8_t)((int)byte - 128);
}

/* Find the keypoints that heatmaps show.
 *
 * format:    what the heatmaps look like.
 * heatmaps:  height * width * num_keypoints values; the keypoint runs fastest,
 *            then x, as the network writes them.
 * keypoints: where to write num_keypoints results.
 *
 * A keypoint is the highest cell, the first in reading order on a tie, moved by
 * a quarter of a cell towards its higher neighbour along each axis; not where
 * both are equal or one is missing.
 */
void tinypose_decode(const tinypose_heatmaps_t *format, const int8_t *heatmaps,
                     tinypose_keypoint_t *keypoints);

#ifdef __cplusplus
}
#endif

#endif
