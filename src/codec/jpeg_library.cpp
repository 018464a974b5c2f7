#include "codec/jpeg_library.h"

#include "codec/format.h"
#include "codec/jpeg.h"

#include <string>

#include <jerror.h> // after jpeglib.h, which says which messages there are

namespace vamhash {

namespace {

/// More scans than any encoder writes: the bound of libjpeg-turbo's own tests against files that
/// are a few bytes a scan and minutes of work.
constexpr int max_scans = 500;

/// Which status an error or fatal warning of libjpeg means.
ImageStatus status_of(int message_code) {
    switch (message_code) {
    case JWRN_JPEG_EOF:
    case JERR_INPUT_EMPTY:
    case JERR_INPUT_EOF:
        return ImageStatus::truncated;
    case JERR_BAD_PRECISION:   // 12-bit samples
    case JERR_SOF_UNSUPPORTED: // lossless, hierarchical
    case JERR_ARITH_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
    case JERR_COMPONENT_COUNT:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED:
        return ImageStatus::unsupported;
    case JERR_IMAGE_TOO_BIG:
    case JERR_WIDTH_OVERFLOW:
        return ImageStatus::too_large;
    case JERR_OUT_OF_MEMORY:
        return ImageStatus::out_of_memory;
    default:
        return ImageStatus::corrupt;
    }
}

/// Whether a warning means that pixels are lost or invented.
bool loses_pixels(int message_code) {
    switch (message_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_BOGUS_PROGRESSION:
        return true;
    default:
        return false;
    }
}

/// libjpeg's text for a fault, without the words that format_error puts before it.
std::string_view fault_of(const JpegErrors& errors) {
    constexpr std::string_view prefix = "Corrupt JPEG data: ";
    std::string_view fault(errors.fault.data());
    if (fault.starts_with(prefix)) {
        fault.remove_prefix(prefix.size());
    }
    return fault;
}

/// libjpeg's error_exit: leaves the library.
[[noreturn]] void leave_library(j_common_ptr cinfo) {
    auto& errors = *static_cast<JpegErrors*>(cinfo->err);
    errors.status = status_of(errors.msg_code);
    errors.format_message(cinfo, errors.fault.data());
    std::longjmp(errors.escape, 1);
}

/// libjpeg's emit_message: level -1 is a warning, others are traces.
void note_message(j_common_ptr cinfo, int level) {
    if (level >= 0 || !loses_pixels(cinfo->err->msg_code)) {
        return;
    }
    auto& errors = *static_cast<JpegErrors*>(cinfo->err);
    if (!errors.file_ended) {
        leave_library(cinfo);
    }
    errors.lost_pixels = true;
}

/// libjpeg's progress_monitor, called for each row of blocks read ahead: bounds the scans.
void bound_scans(j_common_ptr cinfo) {
    if (reinterpret_cast<j_decompress_ptr>(cinfo)->input_scan_number > max_scans) {
        auto& errors = *static_cast<JpegErrors*>(cinfo->err);
        errors.status = ImageStatus::corrupt;
        std::snprintf(errors.fault.data(), errors.fault.size(), "more than %d scans", max_scans);
        std::longjmp(errors.escape, 1);
    }
}

} // namespace

JpegLibrary::JpegLibrary() {
    cinfo_.err = jpeg_std_error(&errors_);
    errors_.error_exit = leave_library;
    errors_.emit_message = note_message;
    guard([this] { jpeg_create_decompress(&cinfo_); });
    progress_.progress_monitor = bound_scans;
    cinfo_.progress = &progress_;
}

void JpegLibrary::throw_fault() const {
    throw format_error(jpeg_format, errors_.status, fault_of(errors_));
}

void JpegLibrary::read_header(std::span<const std::uint8_t> image, const DecodeOptions& options) {
    guard([&] {
        jpeg_mem_src(&cinfo_, image.data(), image.size());
        // A file may begin with an abbreviated image of tables only.
        while (jpeg_read_header(&cinfo_, FALSE) == JPEG_HEADER_TABLES_ONLY) {
        }
    });
    if (std::uint64_t{cinfo_.image_width} * cinfo_.image_height > options.max_pixels) {
        throw format_error(jpeg_format, ImageStatus::too_large,
                           std::to_string(cinfo_.image_width) + " x " +
                               std::to_string(cinfo_.image_height) + " pixels");
    }
}

} // namespace vamhash
