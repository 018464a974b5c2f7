// Errors. libtiff reports them by callbacks and by what its functions return; the callbacks are
// this file's own (libtiff 4.5), keep the last message and print nothing. libtiff repairs some
// damaged data with invented pixels: broken fax lines with an error message only, JPEG data with a
// warning. Both are errors here, as in our JPEG codec.
//
// Hostile files. The picture's directory is walked first by ourselves. Its entries must be few:
// libtiff sorts all tags anew for each that it does not know, which for the 4096 that it would take
// is 0.6 seconds. Their values may not be larger in all than the file: libtiff reads each even if
// all of them point to the same megabytes. Later directories are never read, so loops among them do
// not matter.
#include "codec/tiff_file.h"

#include "codec/tiff.h"
#include "codec/tiff_numbers.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>

namespace vamhash {

namespace {

/// What libtiff may allocate at once: it holds compressed data, tables, and in few codecs a strip.
constexpr std::uint64_t alloc_base = std::uint64_t{256} << 20U;
constexpr std::uint64_t alloc_per_byte = 16;

/// More than anyone writes.
constexpr std::uint64_t max_entries = 512;

/// The sizes of the field types 1 to 18; 0 for none.
constexpr std::array<std::uint8_t, 19> type_sizes{0, 1, 1, 2, 4, 8, 1, 1, 2, 4,
                                                  8, 4, 8, 4, 0, 0, 8, 8, 8};

/// What a look at the first directory tells.
struct DirectorySurvey {
    std::uint64_t entries = 0;
    std::uint64_t value_bytes = 0; // of all entries
    bool is_indexed = false;       // its samples are indexes of a palette
};

DirectorySurvey survey_directory(std::span<const std::uint8_t> image) {
    const TiffNumbers numbers(image);
    const bool big = numbers.at(2, 2) == 43; // BigTIFF
    const std::uint64_t directory = big ? numbers.at(8, 8) : numbers.at(4, 4);
    const unsigned count_size = big ? 8 : 2;
    const unsigned entry_size = big ? 20 : 12;
    DirectorySurvey survey;
    if (directory == 0) { // the header is cut off: libtiff will say so
        return survey;
    }
    survey.entries = numbers.at(directory, count_size);
    for (std::uint64_t i = 0; i < std::min(survey.entries, max_entries); ++i) {
        const std::uint64_t entry = directory + count_size + entry_size * i;
        const std::uint64_t type = numbers.at(entry + 2, 2);
        const std::uint64_t count = numbers.at(entry + 4, big ? 8 : 4);
        const std::uint64_t size = type < type_sizes.size() ? type_sizes[type] : 0;
        // More than the file has is as bad as any greater number.
        survey.value_bytes += size * std::min<std::uint64_t>(count, image.size() + 1);
        if (numbers.at(entry, 2) == TIFFTAG_PHOTOMETRIC) {
            const std::uint64_t value =
                numbers.at(entry + (big ? 12 : 8), type == TIFF_SHORT ? 2 : 4);
            survey.is_indexed = value == PHOTOMETRIC_PALETTE;
        }
    }
    return survey;
}

/// Throws where the first directory is one that must not be read.
void check_directory(std::span<const std::uint8_t> image, const DirectorySurvey& survey) {
    if (survey.entries > max_entries) {
        throw format_error(tiff_format, ImageStatus::corrupt,
                           std::to_string(survey.entries) + " tags");
    }
    // Entries have room for small values, which so may count twice.
    if (survey.value_bytes > 2 * image.size()) {
        throw format_error(tiff_format, ImageStatus::corrupt,
                           "its directory claims more than the file holds");
    }
}

} // namespace

TiffFile::TiffFile(std::span<const std::uint8_t> image) : image_(image) {
    const DirectorySurvey survey = survey_directory(image);
    check_directory(image, survey);
    is_indexed_ = survey.is_indexed;
    const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(
        TIFFOpenOptionsAlloc(), TIFFOpenOptionsFree);
    if (options == nullptr) {
        throw std::bad_alloc();
    }
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), note_error, this);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), note_warning, this);
    TIFFOpenOptionsSetMaxSingleMemAlloc(
        options.get(), static_cast<tmsize_t>(alloc_base + alloc_per_byte * image.size()));
    const auto write = [](thandle_t, void*, tmsize_t) -> tmsize_t { return 0; };
    const auto close = [](thandle_t) { return 0; };
    const auto size = [](thandle_t file) -> toff_t {
        return static_cast<const TiffFile*>(file)->image_.size();
    };
    // m: not mapped, so that read_bytes sees reads beyond the end.
    tiff_ = TIFFClientOpenExt("image", "rm", this, read_bytes, write, seek_to, close, size, nullptr,
                              nullptr, options.get());
    if (tiff_ == nullptr) {
        throw_fault();
    }
    faulty_ = false; // what was wrong with tags that do not matter is of no interest
}

void TiffFile::check(bool succeeded) const {
    if (!succeeded || faulty_) {
        throw_fault();
    }
}

void TiffFile::throw_fault() const {
    const std::string_view fault = faulty_ ? fault_.data() : "its data is damaged";
    if (past_end_) {
        throw format_error(tiff_format, ImageStatus::truncated, fault);
    }
    // libtiff has no codes.
    const auto says = [fault](std::string_view words) {
        return fault.find(words) != std::string_view::npos;
    };
    if (says("Cannot handle zero")) { // strips, tiles, bytes of a row
        throw format_error(tiff_format, ImageStatus::corrupt, fault);
    }
    if (says("not configured") || says("not implemented") || says("Cannot handle") ||
        says("unsupported") || says("not supported")) {
        throw format_error(tiff_format, ImageStatus::unsupported, fault);
    }
    if (says("ut of memory") || says("No space for") || says("emory allocation") ||
        says("Cannot allocate")) {
        throw format_error(tiff_format, ImageStatus::too_large, fault);
    }
    throw format_error(tiff_format, ImageStatus::corrupt, fault);
}

int TiffFile::note_error(TIFF* /*tiff*/, void* file, const char* /*module*/, const char* format,
                         std::va_list arguments) {
    auto& self = *static_cast<TiffFile*>(file);
    self.faulty_ = true;
    std::vsnprintf(self.fault_.data(), self.fault_.size(), format, arguments);
    return 1; // handled: no global handler is called
}

int TiffFile::note_warning(TIFF* tiff, void* file, const char* module, const char* format,
                           std::va_list arguments) {
    // Those of libjpeg, which says only its first, and that a tile or strip has fewer JPEG rows or
    // columns than it should: libtiff leaves the others as they were in memory.
    if (module == nullptr || (std::strcmp(module, "JPEGLib") != 0 &&
                              std::strstr(format, "Improper JPEG strip/tile size") == nullptr)) {
        return 1;
    }
    auto& self = *static_cast<TiffFile*>(file);
    const bool was_faulty = self.faulty_;
    note_error(tiff, file, module, format, arguments);
    if (std::strstr(self.fault_.data(), "extraneous bytes") != nullptr) {
        self.faulty_ = was_faulty; // these cost no pixel
    }
    return 1;
}

tmsize_t TiffFile::read_bytes(thandle_t file, void* bytes, tmsize_t count) {
    auto& self = *static_cast<TiffFile*>(file);
    const std::uint64_t left =
        self.image_.size() - std::min<std::uint64_t>(self.at_, self.image_.size());
    const std::uint64_t wanted = static_cast<std::uint64_t>(std::max<tmsize_t>(count, 0));
    const std::uint64_t taken = std::min(left, wanted);
    self.past_end_ |= taken < wanted;
    if (taken != 0) {
        std::memcpy(bytes, self.image_.data() + self.at_, taken);
    }
    if (self.zeros_beyond_end_) {
        std::memset(static_cast<std::uint8_t*>(bytes) + taken, 0, wanted - taken);
        self.at_ += wanted;
        return count;
    }
    self.at_ += taken;
    return static_cast<tmsize_t>(taken);
}

toff_t TiffFile::seek_to(thandle_t file, toff_t offset, int origin) {
    auto& self = *static_cast<TiffFile*>(file);
    if (origin == SEEK_CUR) {
        offset += self.at_;
    } else if (origin == SEEK_END) {
        offset += self.image_.size();
    }
    self.at_ = offset;
    return offset;
}

} // namespace vamhash
