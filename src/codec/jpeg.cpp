// JPEG by libjpeg-turbo, with its default decoding (islow DCT, fancy upsampling, its own guess of
// the colour space), which is Pillow's. The sink is never called while libjpeg is.
//
// Reading stops at the last row: what follows it in the file is never looked at.
//
// Truncated images. Where they are to be kept, libjpeg suspends at the end of the file, and the
// file is ended for it by an end of image: libjpeg takes the coefficients that it has not got for
// 0, as in Pillow. A file that ends in a segment between scans is ended before that segment; Pillow
// would take the end of image for a part of the segment, and give a black picture. libjpeg's
// arithmetic decoder cannot suspend; of its truncated pictures nothing is kept.
//
// One kind of picture depends on the library's version: a progressive file whose scans stop short
// of full accuracy. libjpeg-turbo smooths it between blocks, and 2.0, 2.1 and 3.0 each do it
// otherwise.
#include "codec/jpeg.h"

#include "codec/early_end.h"
#include "codec/grey.h"
#include "codec/jpeg_dc.h"
#include "codec/jpeg_library.h"
#include "codec/ycc_grey.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vamhash {

namespace {

/// Rows a sink is given at a time: whole groups of 8 and 16, yet a group of a 12-megapixel
/// picture stays in the second-level cache.
constexpr std::uint32_t rows_per_group = 16;

/// libjpeg-turbo's colour conversion writes rows that begin at a multiple of its vectors' size (16
/// or 32 bytes) past the caches, on the thought that they will not be read soon. We read them at
/// once: from memory that takes ten times as long. So rows begin one pixel off.
constexpr std::size_t vector_bytes = 32;
constexpr std::size_t row_misalignment = 4;

/// libjpeg hands out as many rows a call as one row group upsamples to, at most 4.
constexpr std::uint32_t rows_per_read = MAX_SAMP_FACTOR;

ImageError truncated(std::string_view fault) {
    return format_error(jpeg_format, ImageStatus::truncated, fault);
}

/// libjpeg's fill_input_buffer where truncated images are kept: there is no more, suspend.
boolean have_no_more(j_decompress_ptr /*cinfo*/) {
    return FALSE;
}

/// libjpeg's skip_input_data where truncated images are kept: stops at the end.
void skip_bytes(j_decompress_ptr cinfo, long count) {
    jpeg_source_mgr& source = *cinfo->src;
    const std::size_t skipped =
        std::min(static_cast<std::size_t>(std::max(count, 0L)), source.bytes_in_buffer);
    source.next_input_byte += skipped;
    source.bytes_in_buffer -= skipped;
}

/// How libjpeg's rows become grey; no conversion where they are grey already.
struct Output {
    J_COLOR_SPACE color_space;
    std::size_t bytes_per_pixel;
    GreyRow to_grey;
};

/// One JPEG image being decoded.
class JpegReader : private JpegLibrary {
  public:
    JpegReader(Isa isa, std::uint32_t min_scaled_side)
        : isa_(isa), min_scaled_side_(min_scaled_side) {}

    ImageInfo read(std::span<const std::uint8_t> image, const DecodeOptions& options,
                   GreySink& sink);

  private:
    template <typename Call>
    void complete(const Call& call);
    void keep_truncated();
    void end_file();
    std::string what_is_missing();
    [[nodiscard]] Output choose_output(bool fast) const;
    [[nodiscard]] std::optional<YccShape> ycc_shape() const;
    void read_rows(const Output& output, GreySink& sink);
    void read_planes(const YccShape& shape, const YccKernels& kernels, GreySink& sink);
    bool read_means(GreySink& sink);

    Isa isa_;
    std::uint32_t min_scaled_side_;
    std::vector<std::uint8_t> file_end_; // what end_file has libjpeg read last
    int end_scan_ = 0;                   // that it ended in or after
    std::uint32_t end_row_ = 0;          // of pixels, in a file of one scan
};

/// Runs a call of libjpeg that is false where the file ended early, and then once more.
template <typename Call>
void JpegReader::complete(const Call& call) {
    bool completed = false;
    guard([&] { completed = call(); });
    if (!completed) {
        end_file();
        guard([&] { completed = call(); });
        if (!completed) {
            throw truncated("Premature end of JPEG file");
        }
    }
}

/// Has libjpeg suspend where the file ends early, from the first scan's data on.
void JpegReader::keep_truncated() {
    jpeg_source_mgr& source = *cinfo_.src;
    if (source.bytes_in_buffer == 0) {
        throw truncated("Premature end of JPEG file"); // not a pixel is there
    }
    if (cinfo_.arith_code == FALSE) {
        source.fill_input_buffer = have_no_more;
        source.skip_input_data = skip_bytes;
    }
}

/// Ends a file that ended early.
void JpegReader::end_file() {
    if (errors_.file_ended) {
        throw truncated("Premature end of JPEG file");
    }
    errors_.file_ended = true;
    end_scan_ = cinfo_.input_scan_number;
    end_row_ = std::min(cinfo_.input_iMCU_row * cinfo_.max_v_samp_factor * DCTSIZE,
                        cinfo_.image_height - 1);
    constexpr std::uint8_t end_of_image = 0xD9;
    jpeg_source_mgr& source = *cinfo_.src;
    if (cinfo_.unread_marker != 0) { // its segment is not all there: libjpeg would read it anew
        cinfo_.unread_marker = end_of_image;
    } else { // nor a block, of which libjpeg reads again what there is
        file_end_.assign(source.next_input_byte, source.next_input_byte + source.bytes_in_buffer);
    }
    file_end_.insert(file_end_.end(), {0xFF, end_of_image});
    source.next_input_byte = file_end_.data();
    source.bytes_in_buffer = file_end_.size();
}

/// ImageInfo::truncated.
std::string JpegReader::what_is_missing() {
    if (!errors_.file_ended) {
        return {};
    }
    if (jpeg_has_multiple_scans(&cinfo_) != FALSE) {
        return truncated("the data ends " + std::string(errors_.lost_pixels ? "in" : "after") +
                         " scan " + std::to_string(end_scan_))
            .what();
    }
    if (!errors_.lost_pixels) {
        return truncated("its end marker is missing").what();
    }
    return ends_in_row(jpeg_format, end_row_, cinfo_.image_height);
}

/// The cheapest rows that libjpeg can give from which Pillow's grey follows.
Output JpegReader::choose_output(bool fast) const {
    const bool has_luma =
        cinfo_.jpeg_color_space == JCS_GRAYSCALE || cinfo_.jpeg_color_space == JCS_YCbCr;
    if (cinfo_.num_components == 1 || (fast && has_luma)) {
        return {.color_space = JCS_GRAYSCALE, .bytes_per_pixel = 1, .to_grey = nullptr};
    }
    if (cinfo_.num_components == 3) {
        return {.color_space = JCS_EXT_RGBX, .bytes_per_pixel = 4, .to_grey = rgbx_to_grey(isa_)};
    }
    if (cinfo_.num_components == 4) {
        return {.color_space = JCS_CMYK, .bytes_per_pixel = 4, .to_grey = inverted_cmyk_to_grey};
    }
    throw format_error(jpeg_format, ImageStatus::unsupported,
                       std::to_string(cinfo_.num_components) + " colour components");
}

/// Gives the sink all rows, group by group.
void JpegReader::read_rows(const Output& output, GreySink& sink) {
    const std::size_t width = cinfo_.output_width;
    std::vector<std::uint8_t> grey(width * rows_per_group);
    std::vector<std::uint8_t> pixels;
    std::array<JSAMPROW, rows_per_read> scanlines{};
    if (output.to_grey != nullptr) {
        std::size_t stride = width * output.bytes_per_pixel;
        stride += (vector_bytes - stride % vector_bytes) % vector_bytes;
        std::size_t space = stride * rows_per_read + 2 * vector_bytes;
        pixels.resize(space);
        void* aligned = pixels.data();
        std::align(vector_bytes, space - vector_bytes, aligned, space);
        for (std::size_t i = 0; i < scanlines.size(); ++i) {
            scanlines[i] = static_cast<JSAMPROW>(aligned) + row_misalignment + i * stride;
        }
    }
    while (cinfo_.output_scanline < cinfo_.output_height) {
        const std::uint32_t first = cinfo_.output_scanline;
        const std::uint32_t count = std::min(rows_per_group, cinfo_.output_height - first);
        complete([&] {
            while (cinfo_.output_scanline < first + count) {
                const std::uint32_t row = cinfo_.output_scanline - first;
                std::uint8_t* line = grey.data() + row * width;
                const std::uint32_t wanted = std::min(rows_per_read, count - row);
                if (output.to_grey == nullptr) {
                    for (std::uint32_t i = 0; i < wanted; ++i) {
                        scanlines[i] = line + i * width;
                    }
                }
                const std::uint32_t got = jpeg_read_scanlines(&cinfo_, scanlines.data(), wanted);
                if (got == 0) {
                    return false;
                }
                if (output.to_grey != nullptr) {
                    for (std::uint32_t i = 0; i < got; ++i) {
                        output.to_grey(scanlines[i], line + i * width, width);
                    }
                }
            }
            return true;
        });
        sink.rows(grey.data(), width, count);
    }
}

/// The shape of the planes where they are such as YccGrey takes.
std::optional<YccShape> JpegReader::ycc_shape() const {
    if (cinfo_.num_components != 3 || cinfo_.jpeg_color_space != JCS_YCbCr) {
        return std::nullopt;
    }
    const jpeg_component_info& y = cinfo_.comp_info[0];
    const jpeg_component_info& cb = cinfo_.comp_info[1];
    const jpeg_component_info& cr = cinfo_.comp_info[2];
    const auto is_sampled = [&](const jpeg_component_info& chroma, int horizontal, int vertical) {
        return chroma.h_samp_factor * horizontal == y.h_samp_factor &&
               chroma.v_samp_factor * vertical == y.v_samp_factor;
    };
    const auto are_sampled = [&](int horizontal, int vertical) {
        return is_sampled(cb, horizontal, vertical) && is_sampled(cr, horizontal, vertical);
    };
    YccShape shape{.sampling = ChromaSampling::full,
                   .width = cinfo_.image_width,
                   .height = cinfo_.image_height,
                   .chroma_width = cb.downsampled_width,
                   .chroma_height = cb.downsampled_height,
                   .luma_rows = static_cast<std::uint32_t>(y.v_samp_factor * DCTSIZE)};
    if (are_sampled(1, 1)) {
        return shape;
    }
    constexpr std::uint32_t min_filtered_samples = 3; // libjpeg only repeats those of narrower rows
    if (shape.chroma_width < min_filtered_samples) {
        return std::nullopt;
    }
    if (are_sampled(2, 1)) {
        shape.sampling = ChromaSampling::half_width;
        return shape;
    }
    if (are_sampled(2, 2)) {
        shape.sampling = ChromaSampling::half_both;
        return shape;
    }
    return std::nullopt;
}

/// Gives the sink all rows, iMCU row by iMCU row.
void JpegReader::read_planes(const YccShape& shape, const YccKernels& kernels, GreySink& sink) {
    YccGrey grey(shape, kernels);
    while (cinfo_.output_scanline < cinfo_.output_height) {
        std::uint8_t*** const planes = grey.planes();
        complete([&] { return jpeg_read_raw_data(&cinfo_, planes, shape.luma_rows) != 0; });
        grey.take(sink);
    }
}

/// Gives the sink all rows of an eighth of the size, without libjpeg; false if that is for libjpeg.
bool JpegReader::read_means(GreySink& sink) {
    const std::optional<DcPicture> picture = decode_dc(cinfo_);
    if (!picture) {
        return false;
    }
    sink.start(picture->width, picture->height);
    for (std::uint32_t row = 0; row < picture->height; row += rows_per_group) {
        sink.rows(picture->pixels.data() + row * picture->stride, picture->stride,
                  std::min(rows_per_group, picture->height - row));
    }
    return true;
}

ImageInfo JpegReader::read(std::span<const std::uint8_t> image, const DecodeOptions& options,
                           GreySink& sink) {
    read_header(image, options);
    const Output output = choose_output(options.fast);
    ImageInfo info{
        .width = cinfo_.image_width, .height = cinfo_.image_height, .format = jpeg_format.name};
    cinfo_.out_color_space = output.color_space;
    if (options.fast) {
        cinfo_.scale_num = 1;
        cinfo_.scale_denom = jpeg_fast_scale(info.width, info.height, min_scaled_side_);
        if (cinfo_.scale_denom == DCTSIZE && output.color_space == JCS_GRAYSCALE &&
            isa_ != Isa::scalar && read_means(sink)) {
            return info;
        }
    }
    // Where RGB would be wanted, the planes may do; fast decoding takes luma alone before that.
    const YccKernels* kernels = output.color_space == JCS_EXT_RGBX ? ycc_kernels(isa_) : nullptr;
    const std::optional<YccShape> shape = kernels != nullptr ? ycc_shape() : std::nullopt;
    cinfo_.raw_data_out = shape ? TRUE : FALSE;
    if (options.keep_truncated) {
        keep_truncated();
    }
    complete([this] { return jpeg_start_decompress(&cinfo_) != FALSE; });
    sink.start(cinfo_.output_width, cinfo_.output_height);
    if (shape) {
        read_planes(*shape, *kernels, sink);
    } else {
        read_rows(output, sink);
    }
    info.truncated = what_is_missing();
    return info;
}

ImageInfo decode_with_best(std::span<const std::uint8_t> image, const DecodeOptions& options,
                           GreySink& sink) {
    return decode_jpeg(image, options, sink, best_isa());
}

/// The EXIF data and XMP packet among an image's APP1 segments.
struct Metadata {
    std::vector<std::uint8_t> exif; // may be spread over several segments
    std::string_view xmp;
};

/// Walks the segments before the first scan, as far as they make sense.
Metadata find_metadata(std::span<const std::uint8_t> image) {
    using namespace std::string_view_literals;
    constexpr auto exif_prefix = "Exif\0\0"sv;
    constexpr auto xmp_prefix = "http://ns.adobe.com/xap/1.0/\0"sv;
    constexpr std::uint8_t start_of_scan = 0xDA;
    constexpr std::uint8_t app1 = 0xE1;

    Metadata metadata;
    std::size_t at = 2; // after the start of image
    while (at + 4 <= image.size()) {
        const std::uint8_t marker = image[at + 1];
        if (image[at] != 0xFF || marker == 0xFF) { // extraneous or fill byte
            ++at;
            continue;
        }
        const bool without_segment = marker <= 0x01 || (marker >= 0xD0 && marker <= 0xD9);
        if (without_segment) {
            at += 2;
            continue;
        }
        const std::size_t length = std::size_t{image[at + 2]} << 8 | image[at + 3];
        if (marker == start_of_scan || length < 2 || length > image.size() - at - 2) {
            break;
        }
        const auto segment = image.subspan(at + 4, length - 2);
        const std::string_view text(reinterpret_cast<const char*>(segment.data()), segment.size());
        if (marker == app1 && text.starts_with(exif_prefix)) {
            metadata.exif.insert(metadata.exif.end(), segment.begin() + exif_prefix.size(),
                                 segment.end());
        } else if (marker == app1 && text.starts_with(xmp_prefix)) {
            metadata.xmp = text.substr(xmp_prefix.size());
        }
        at += 2 + length;
    }
    return metadata;
}

Orientation jpeg_orientation(std::span<const std::uint8_t> image) {
    const Metadata metadata = find_metadata(image);
    return image_orientation(metadata.exif, metadata.xmp);
}

} // namespace

unsigned jpeg_fast_scale(std::uint32_t width, std::uint32_t height, std::uint32_t min_scaled_side) {
    for (const unsigned scale : {8U, 4U, 2U}) {
        if (std::min(width, height) / scale >= min_scaled_side) {
            return scale;
        }
    }
    return 1;
}

ImageInfo decode_jpeg(std::span<const std::uint8_t> image, const DecodeOptions& options,
                      GreySink& sink, Isa isa, std::uint32_t min_scaled_side) {
    JpegReader reader(isa, min_scaled_side);
    return reader.read(image, options, sink);
}

const Format jpeg_format{
    .name = "jpeg", .title = "JPEG", .decode = decode_with_best, .orientation = jpeg_orientation};

} // namespace vamhash
