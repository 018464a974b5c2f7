// What the engine does to its own process before it serves: so that it ends with its backend,
// never harms it, and never looks to the postmaster like a crashed backend. What it takes from
// itself for the sake of others is in sandbox.h.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <sys/types.h>

namespace vamhash {

/// Takes the signals that were blocked over the spawn: SIGINT is the backend's business (ignored),
/// SIGTERM and SIGQUIT end the engine with exit status 0 at any moment. Asks the kernel for SIGTERM
/// when the backend dies. Ends the process at once if `backend` is already gone. Drops what a
/// process beside a database must not have: core dumps, new privileges, and its place before the
/// backend in the out-of-memory killer's order.
void settle_beside_backend(pid_t backend);

/// Lets the allocator keep up to 32 MB that an image gave back for the next one: taking it from the
/// kernel anew each time costs a page fault every 4 KB.
void keep_memory_between_requests();

/// Bounds what a thread takes of the process's address space beside what it asks for, which counts
/// where that is limited: a small stack, and no heap of its own from the allocator. Threads that
/// hash take their memory in a few pieces, so that they can share one heap.
void keep_threads_small();

} // namespace vamhash
