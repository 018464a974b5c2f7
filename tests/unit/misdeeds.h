// What a decoder that has been taken over could try: for the tests of the sandbox.
#pragma once

#include <string>
#include <string_view>

/// Tries what `command` says, a verb and its arguments with spaces between. Returns "done", or the
/// name of the error with which it was refused, such as "EPERM". "slow" does not return, "crash",
/// "abort" and "foreign" may not; "memory" throws std::bad_alloc.
std::string try_misdeed(std::string_view command);
