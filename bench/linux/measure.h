/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#pragma once
#include <stdint.h>

/* Nanoseconds of the machine's counter. */
uint64_t now(void);
/* A metric from samples, with the cost of measuring taken off each. */
void metric(const char *name, const char *unit, double *samples, int n, double less);
/* A quantity that was read once. */
void once(const char *name, const char *unit, double value);
/* A row that could not be measured. */
void missed(const char *name, const char *why);
/* The rows of bpf(): loading the programs that Axiom's benchmark loads. */
void bpf_rows(void);
/* From a timer's deadline to a BPF program's first instruction. */
void bpf_timer_row(void);
