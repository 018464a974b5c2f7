// Grey from YCbCr: the kernels against libjpeg's rules written plainly, for every colour, for rows
// of every width and for pixels near the point where a channel is clamped.
#include "codec/ycc_grey.h"

#include "grey_picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace vamhash {
namespace {

class YccKernel : public testing::TestWithParam<Isa> {
  protected:
    const YccKernels& kernels = *ycc_kernels(GetParam());
};

std::vector<Isa> isas_with_kernels() {
    std::vector<Isa> isas = available_isas();
    std::erase_if(isas, [](Isa isa) { return ycc_kernels(isa) == nullptr; });
    return isas;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(YccKernel); // where there are none

INSTANTIATE_TEST_SUITE_P(Isas, YccKernel, testing::ValuesIn(isas_with_kernels()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

/// libjpeg's YCbCr to RGB, then Pillow's L.
std::uint8_t grey_of(int y, int cb, int cr) {
    const auto rounded = [](int scaled) { return (scaled + 32768) >> 16; };
    const int red = y + rounded(91881 * (cr - 128));
    const int green = y + rounded(-22554 * (cb - 128) - 46802 * (cr - 128));
    const int blue = y + rounded(116130 * (cb - 128));
    return pillow_l(std::clamp(red, 0, 255), std::clamp(green, 0, 255), std::clamp(blue, 0, 255));
}

/// One plane's samples for a row of pixels, by the rules of libjpeg's fancy upsampling.
std::vector<int> upsampled(ChromaSampling sampling, const Bytes& near, const Bytes& far) {
    std::vector<int> values;
    if (sampling == ChromaSampling::full) {
        values.assign(near.begin(), near.end());
        return values;
    }
    for (std::size_t i = 0; i < near.size(); ++i) {
        const std::size_t left = i == 0 ? 0 : i - 1;
        const std::size_t right = std::min(i + 1, near.size() - 1);
        if (sampling == ChromaSampling::half_width) {
            values.push_back((3 * near[i] + near[left] + 1) / 4);
            values.push_back((3 * near[i] + near[right] + 2) / 4);
        } else {
            const auto column = [&](std::size_t at) { return 3 * near[at] + far[at]; };
            values.push_back((3 * column(i) + column(left) + 8) / 16);
            values.push_back((3 * column(i) + column(right) + 7) / 16);
        }
    }
    return values;
}

/// A chroma row in the room that the kernels want, with its reach.
class RoomyRow {
  public:
    RoomyRow(const YccKernels& kernels, ChromaSampling sampling, const Bytes& cb, const Bytes& cr,
             std::size_t blocks)
        : cb_(roomy(cb, blocks)), cr_(roomy(cr, blocks)), up_(blocks), down_(blocks) {
        row = {.cb = cb_.data() + margin,
               .cr = cr_.data() + margin,
               .reach_up = up_.data(),
               .reach_down = down_.data()};
        kernels.find_reach(sampling, row, blocks);
    }

    ChromaRow row{};

  private:
    static constexpr std::size_t margin = 1;
    static Bytes roomy(const Bytes& samples, std::size_t blocks) {
        Bytes room(blocks * ycc_block + 2 * margin, samples.back());
        room.front() = samples.front();
        std::copy(samples.begin(), samples.end(), room.begin() + margin);
        return room;
    }

    Bytes cb_, cr_, up_, down_;
};

struct Planes {
    Bytes near, far;
};

/// Converts a row and checks each pixel.
void check_row(const YccKernels& kernels, ChromaSampling sampling, const Bytes& luma,
               const Planes& cb, const Planes& cr) {
    const std::size_t blocks = (luma.size() + ycc_block - 1) / ycc_block;
    const RoomyRow near(kernels, sampling, cb.near, cr.near, blocks);
    const RoomyRow far(kernels, sampling, cb.far, cr.far, blocks);
    Bytes grey = luma;
    grey.resize(blocks * ycc_block);
    kernels.luma_to_grey(sampling, grey.data(), near.row, far.row, blocks);
    const std::vector<int> blue = upsampled(sampling, cb.near, cb.far);
    const std::vector<int> red = upsampled(sampling, cr.near, cr.far);
    for (std::size_t i = 0; i < luma.size(); ++i) {
        ASSERT_EQ(grey[i], grey_of(luma[i], blue[i], red[i]))
            << "pixel " << i << " of " << luma.size() << ": " << int{luma[i]} << " " << blue[i]
            << " " << red[i];
    }
}

TEST(YccGrey, IsLumaUnlessAChannelIsClamped) {
    for (int cb = 0; cb < 256; ++cb) {
        for (int cr = 0; cr < 256; ++cr) {
            const int red = (91881 * (cr - 128) + 32768) >> 16;
            const int green = (-22554 * (cb - 128) - 46802 * (cr - 128) + 32768) >> 16;
            const int blue = (116130 * (cb - 128) + 32768) >> 16;
            ASSERT_EQ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16, 0)
                << cb << " " << cr;
        }
    }
}

TEST_P(YccKernel, EveryColour) {
    constexpr std::size_t pixels = 65536; // a row of every luma and Cr
    Bytes slow(pixels);
    Bytes fast(pixels);
    for (std::size_t i = 0; i < pixels; ++i) {
        slow[i] = static_cast<std::uint8_t>(i / 256);
        fast[i] = static_cast<std::uint8_t>(i);
    }
    for (int cb = 0; cb < 256; ++cb) {
        const Bytes same(pixels, static_cast<std::uint8_t>(cb));
        for (const auto& [luma, cr] : {std::pair{&slow, &fast}, {&fast, &slow}}) {
            ASSERT_NO_FATAL_FAILURE(check_row(kernels, ChromaSampling::full, *luma,
                                              {.near = same, .far = same},
                                              {.near = *cr, .far = *cr}));
        }
    }
}

/// Chroma about some values, luma about a value.
struct Scene {
    int luma, cb, cr;
    int luma_noise, chroma_noise;
};

void check_scene(const YccKernels& kernels, ChromaSampling sampling, std::size_t width,
                 const Scene& scene, std::mt19937& random) {
    const auto about = [&](std::size_t count, int value, int noise) {
        std::uniform_int_distribution<int> distance(-noise, noise);
        Bytes bytes(count);
        for (std::uint8_t& byte : bytes) {
            byte = static_cast<std::uint8_t>(std::clamp(value + distance(random), 0, 255));
        }
        return bytes;
    };
    const std::size_t samples = sampling == ChromaSampling::full ? width : (width + 1) / 2;
    const auto plane = [&](int value) {
        const Bytes near = about(samples, value, scene.chroma_noise);
        const bool two_rows = sampling == ChromaSampling::half_both;
        return Planes{.near = near,
                      .far = two_rows ? about(samples, value, scene.chroma_noise) : near};
    };
    const Planes cb = plane(scene.cb);
    const Planes cr = plane(scene.cr);
    check_row(kernels, sampling, about(width, scene.luma, scene.luma_noise), cb, cr);
}

constexpr std::array samplings{ChromaSampling::full, ChromaSampling::half_width,
                               ChromaSampling::half_both};

TEST_P(YccKernel, EveryWidth) {
    std::mt19937 random(1);
    for (const ChromaSampling sampling : samplings) {
        for (std::size_t width = 5; width <= 300; ++width) {
            const Scene noise{
                .luma = 128, .cb = 128, .cr = 128, .luma_noise = 128, .chroma_noise = 128};
            ASSERT_NO_FATAL_FAILURE(check_scene(kernels, sampling, width, noise, random));
        }
    }
}

TEST_P(YccKernel, LumaWhereClampingBegins) {
    std::mt19937 random(2);
    for (const ChromaSampling sampling : samplings) {
        for (int i = 0; i < 30000; ++i) {
            const int cb = static_cast<int>(random() % 256);
            const int cr = static_cast<int>(random() % 256);
            const std::array offsets{1.402 * (cr - 128), 1.772 * (cb - 128),
                                     -0.344 * (cb - 128) - 0.714 * (cr - 128)};
            const double offset = offsets[random() % offsets.size()];
            const Scene scene{.luma = static_cast<int>(offset > 0 ? 255 - offset : -offset),
                              .cb = cb,
                              .cr = cr,
                              .luma_noise = static_cast<int>(random() % 6),
                              .chroma_noise = static_cast<int>(random() % 6)};
            ASSERT_NO_FATAL_FAILURE(check_scene(kernels, sampling, 64, scene, random));
        }
    }
}

} // namespace
} // namespace vamhash
