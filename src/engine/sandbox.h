// The sandbox that the engine puts around itself before it reads the first byte of a request.
//
// A decoder of hostile bytes may do anything at all once it has been taken over, and it runs as the
// server's own user, who may read every table, trace every backend, and is a superuser by peer
// authentication over the server's Unix socket. So `decode` keeps only what decoding takes: its
// socket, its memory, threads, a clock. Four layers, each holding where another is missing:
//
//  - no new privileges: set-user-id programs give none (settle_beside_backend);
//  - limits of the kernel on memory, descriptors, the size of files, and core dumps;
//  - Landlock (Linux 5.13): no file may be opened but the system's libraries and the codecs' own,
//    for reading; from later kernels also no TCP, no abstract sockets and no signals to processes
//    outside;
//  - seccomp: a list of the system calls that are allowed.
//
// Codecs' heavy libraries are loaded at the first image that needs them. Landlock can tell a
// library from other files, seccomp cannot see a file's name. So where there is no Landlock nothing
// may be opened at all, and `load` is called before that, to load what codecs would load later.
//
// `compute` sees only arrays, and drivers of devices open files and start programs. It loses what
// no driver needs: sockets, and every reach to other processes.
//
// What cannot be put up (an old kernel, a container, a build without libseccomp) is missing from
// the returned bits, which HELLO carries to the backend: it tells the log.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include <cstdint>
#include <span>
#include <string>

namespace vamhash {

/// Puts the sandbox of `decode` around the process. It may then take up to `memory` bytes more than
/// it has (0: no limit). Calls `load` before the door closes where nothing could be loaded later.
/// Returns what stands: sandbox_* bits of protocol/frame.h.
std::uint32_t enter_decode_sandbox(std::uint64_t memory, void (*load)());

/// Puts the sandbox of `compute` around the process. Returns what stands.
std::uint32_t enter_compute_sandbox();

/// The layers, for the two above. Each tells whether it stands, or leaves all as it was.
/// @{
/// No file but the system's libraries and these plugins, which may be read; no network; nobody
/// else's signals.
bool restrict_to_libraries(std::span<const std::string> plugins);
/// Only the system calls of decoding; without `libraries`, nothing can be opened.
bool filter_decode_calls(bool libraries);
/// All system calls but those of the network and those that reach into other processes.
bool filter_compute_calls();
/// Whether this build has the two filters.
extern const bool has_call_filters;
/// @}

} // namespace vamhash
