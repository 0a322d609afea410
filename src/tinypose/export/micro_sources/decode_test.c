/* SPDX-License-Identifier: Apache-2.0
 *
 * Check tinypose_decode on this machine, or on heatmaps from elsewhere.
 *
 *   decode_test             decodes maps whose keypoints are known; 0 if all fit
 *   decode_test - < MAPS    decodes any number of maps, each written as
 *                               height width num_keypoints input_height
 *                               input_width zero_point score_multiplier
 *                               value value ...
 *                           and prints "x y score" for each keypoint
 */
#include <stdio.h>
#include <string.h>

#include "tinypose_decode.h"

#define MAX_VALUES (1 << 20)
#define MAX_KEYPOINTS 1024

static int8_t values[MAX_VALUES];
static tinypose_keypoint_t found[MAX_KEYPOINTS];

/* Four maps of 3 x 5 cells, a line per cell, in an input of 12 x 20 pixels:
 * a peak whose right and upper neighbours are the higher ones; two equal peaks;
 * a peak in the last corner; nothing at all. */
static const tinypose_heatmaps_t built_in_format = {
    3, 5, 4, 12, 20, -128, (uint32_t)1 << TINYPOSE_SCORE_SHIFT};
static const int8_t built_in_maps[] = {
    -128, -128, -128, -128, /* row 0 */
    -128, -128, -128, -128, /**/
    -128, 72,   -128, -128, /**/
    10,   -128, -128, -128, /**/
    -128, -128, -128, -128, /**/
    -128, -128, -128, -128, /* row 1 */
    -128, 72,   -128, -128, /**/
    -20,  -128, -128, -128, /**/
    127,  -128, -128, -128, /**/
    30,   -128, -128, -128, /**/
    -128, -128, -128, -128, /* row 2 */
    -128, -128, -128, -128, /**/
    -128, -128, -128, -128, /**/
    0,    -128, -128, -128, /**/
    -128, -128, 127,  -128, /**/
};
#define HALF_PIXELS(number) ((number) * (TINYPOSE_ONE_PIXEL / 2))
/* Cell c has its centre at 4 * c + 1.5 pixels; a quarter of it is one pixel. */
static const tinypose_keypoint_t built_in_keypoints[] = {
    {HALF_PIXELS(29), HALF_PIXELS(9), 255}, /* 13.5 + 1, 5.5 - 1 */
    {HALF_PIXELS(19), HALF_PIXELS(3), 200}, /* 9.5, 1.5: the first one */
    {HALF_PIXELS(35), HALF_PIXELS(19), 255},
    {HALF_PIXELS(3), HALF_PIXELS(3), 0},
};

static int check_built_in(void) {
  int failures = 0;
  int k;
  tinypose_decode(&built_in_format, built_in_maps, found);
  for (k = 0; k < built_in_format.num_keypoints; k++) {
    const tinypose_keypoint_t *expected = &built_in_keypoints[k];
    if (found[k].x != expected->x || found[k].y != expected->y ||
        found[k].score != expected->score) {
      printf("keypoint %d: expected %ld %ld %d, found %ld %ld %d\n", k,
             (long)expected->x, (long)expected->y, expected->score,
             (long)found[k].x, (long)found[k].y, found[k].score);
      failures++;
    }
  }
  puts(failures ? "FAILED" : "passed");
  return failures != 0;
}

/* Read the format of the next maps; return 1 if there is one, 0 at the end. */
static int read_format(tinypose_heatmaps_t *format) {
  unsigned long multiplier;
  int number[6];
  int k;
  for (k = 0; k < 6; k++) {
    if (scanf("%d", &number[k]) != 1) {
      return k == 0 && feof(stdin) ? 0 : -1;
    }
    if (k < 5 && (number[k] < 1 || number[k] > UINT16_MAX)) {
      return -1;
    }
  }
  if (scanf("%lu", &multiplier) != 1 || number[2] > MAX_KEYPOINTS ||
      number[0] > MAX_VALUES / number[1] / number[2]) {
    return -1;
  }
  format->height = (uint16_t)number[0];
  format->width = (uint16_t)number[1];
  format->num_keypoints = (uint16_t)number[2];
  format->input_height = (uint16_t)number[3];
  format->input_width = (uint16_t)number[4];
  format->zero_point = (int16_t)number[5];
  format->score_multiplier = (uint32_t)multiplier;
  return 1;
}

static int decode_standard_input(void) {
  tinypose_heatmaps_t format;
  int status;
  while ((status = read_format(&format)) == 1) {
    const long size = (long)format.height * format.width * format.num_keypoints;
    long index;
    int k;
    for (index = 0; index < size; index++) {
      int value;
      if (scanf("%d", &value) != 1 || value < -128 || value > 127) {
        fprintf(stderr, "expected %ld values of -128 to 127\n", size);
        return 1;
      }
      values[index] = (int8_t)value;
    }
    tinypose_decode(&format, values, found);
    for (k = 0; k < format.num_keypoints; k++) {
      printf("%ld %ld %d\n", (long)found[k].x, (long)found[k].y, found[k].score);
    }
  }
  if (status < 0) {
    fprintf(stderr, "expected seven numbers before each map, see %s\n", __FILE__);
  }
  return status < 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "-") == 0) {
    return decode_standard_input();
  }
  if (argc > 1) {
    fprintf(stderr, "usage: %s [-]\n", argv[0]);
    return 2;
  }
  return check_built_in();
}
