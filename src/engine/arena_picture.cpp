#include "engine/arena_picture.h"

#include "codec/orient.h"
#include "hash/image_hasher.h"

#include <utility>

namespace vamhash {

namespace {

using protocol::PictureForm;

std::optional<JpegLayout> layout_of(const protocol::Picture& record) {
    JpegLayout layout{.width = record.width,
                      .height = record.height,
                      .colour = static_cast<JpegColour>(record.colour)};
    for (std::size_t i = 0; i < layout.sampling.size(); ++i) {
        layout.sampling[i] = {record.across[i], record.down[i]};
    }
    return is_valid(layout) ? std::optional(layout) : std::nullopt;
}

bool is_orientation(std::uint8_t number) {
    return number >= static_cast<int>(Orientation::as_stored) &&
           number <= static_cast<int>(Orientation::rotate_anticlockwise);
}

} // namespace

protocol::Picture picture_record(std::uint64_t offset, std::uint32_t width, std::uint32_t height) {
    protocol::Picture record{};
    record.offset = offset;
    record.width = width;
    record.height = height;
    return record;
}

protocol::Picture picture_record(std::uint64_t offset, const JpegLayout& jpeg,
                                 Orientation orientation) {
    protocol::Picture record = picture_record(offset, jpeg.width, jpeg.height);
    record.form = static_cast<std::uint8_t>(PictureForm::coefficients);
    record.colour = static_cast<std::uint8_t>(jpeg.colour);
    record.orientation = static_cast<std::uint8_t>(orientation);
    for (std::size_t i = 0; i < jpeg.sampling.size(); ++i) {
        record.across[i] = jpeg.sampling[i].across;
        record.down[i] = jpeg.sampling[i].down;
    }
    return record;
}

protocol::Picture picture_record(std::uint64_t offset, const PlainJpeg& file,
                                 Orientation orientation) {
    protocol::Picture record = picture_record(offset, file.width, file.height);
    record.form = static_cast<std::uint8_t>(PictureForm::jpeg_file);
    record.orientation = static_cast<std::uint8_t>(orientation);
    record.bytes = file.bytes;
    return record;
}

std::optional<DevicePicture> picture_of(const protocol::Picture& record,
                                        std::span<const std::uint8_t> part, bool may_be_file) {
    DevicePicture picture{};
    picture.width = record.width;
    picture.height = record.height;
    if (record.offset % protocol::picture_alignment != 0 || record.width == 0 ||
        record.height == 0 || record.width > max_image_side || record.height > max_image_side) {
        return std::nullopt;
    }
    std::uint64_t bytes = 0;
    switch (static_cast<PictureForm>(record.form)) {
    case PictureForm::grey:
        bytes = std::uint64_t{record.width} * record.height;
        break;
    case PictureForm::coefficients:
        picture.jpeg = layout_of(record);
        if (!picture.jpeg) {
            return std::nullopt;
        }
        bytes = jpeg_bytes(*picture.jpeg);
        break;
    case PictureForm::jpeg_file:
        if (!may_be_file || record.bytes == 0 || record.width > max_jpeg_side ||
            record.height > max_jpeg_side) {
            return std::nullopt;
        }
        picture.is_file = true;
        bytes = record.bytes;
        break;
    default:
        return std::nullopt;
    }
    if (picture.jpeg || picture.is_file) {
        if (!is_orientation(record.orientation)) {
            return std::nullopt;
        }
        picture.orientation = static_cast<Orientation>(record.orientation);
        if (swaps_axes(picture.orientation)) {
            std::swap(picture.width, picture.height);
        }
    }
    if (record.offset > part.size() || bytes > part.size() - record.offset) {
        return std::nullopt;
    }
    picture.bytes = part.subspan(record.offset, bytes);
    return picture;
}

std::vector<std::optional<DevicePicture>> pictures_of(std::span<const protocol::Picture> records,
                                                      std::span<const std::uint8_t> part,
                                                      bool may_be_files) {
    std::vector<std::optional<DevicePicture>> pictures;
    pictures.reserve(records.size());
    std::uint64_t file_bytes = 0;
    for (const protocol::Picture& record : records) {
        std::optional<DevicePicture>& picture =
            pictures.emplace_back(picture_of(record, part, may_be_files));
        if (picture && picture->is_file) {
            file_bytes += picture->bytes.size();
            if (file_bytes > part.size()) {
                picture.reset();
            }
        }
    }
    return pictures;
}

} // namespace vamhash
