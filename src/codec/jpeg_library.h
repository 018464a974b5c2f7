// libjpeg-turbo reading one image: its errors are exceptions, damage that it would repair is an
// error, and its work is bounded.
//
// Errors. libjpeg reports an error by a callback that must not return. An exception may not cross
// its C frames, so the callback jumps (longjmp) to the setjmp in JpegLibrary::guard, which then
// throws. Each guarded call is a lambda with no object that has a destructor. libjpeg would repair
// damaged data with invented pixels and a warning; a hash of invented pixels is worse than none, so
// those warnings are errors here. Warnings without a pixel at stake (extraneous bytes between
// segments, an odd JFIF or Adobe version, wrong SOS parameters in a sequential file) pass, as they
// do in Pillow.
#pragma once

#include "codec/image.h"

#include <array>
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h> // after cstdio, which it wants

namespace vamhash {

/// libjpeg's error manager, with the fault that made it jump.
struct JpegErrors : jpeg_error_mgr {
    std::jmp_buf escape;
    ImageStatus status;
    std::array<char, JMSG_LENGTH_MAX> fault;
    bool file_ended = false;  // the reader has ended it, and pixels may be lost
    bool lost_pixels = false; // after that
};

/// A base of what reads one image.
class JpegLibrary {
  public:
    JpegLibrary(const JpegLibrary&) = delete;
    JpegLibrary& operator=(const JpegLibrary&) = delete;

  protected:
    JpegLibrary();
    ~JpegLibrary() { jpeg_destroy_decompress(&cinfo_); }

    /// Runs calls of libjpeg and throws what they report.
    template <typename Call>
    void guard(const Call& call) {
        if (setjmp(errors_.escape) != 0) {
            throw_fault();
        }
        call();
    }

    /// Reads up to the first scan. Nothing is allocated by the picture's size yet.
    void read_header(std::span<const std::uint8_t> image, const DecodeOptions& options);

    jpeg_decompress_struct cinfo_{};
    JpegErrors errors_{};

  private:
    [[noreturn]] void throw_fault() const;

    jpeg_progress_mgr progress_{};
};

} // namespace vamhash
