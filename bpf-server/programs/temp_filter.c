/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The same filter on a thermometer: sixteenths of a degree.
 */
#define POINT "iio/lm75/temp"
#include "iio_filter.c"
