/* A TCP peer that sends segments by hand through a tun device, in any order: see peer.c. */
#ifndef BENCH_NATIVE_PEER_H
#define BENCH_NATIVE_PEER_H

void reordered_segments(void);

#endif
