// Grey of a YCbCr picture from its planes: what libjpeg-turbo's conversion to RGB (fancy
// upsampling, fixed-point factors, channels clamped to a byte) and Pillow's L after it would give.
//
// Luma is grey already. L weighs R, G and B to undo what libjpeg's factors did, and for none of the
// 65536 pairs of Cb and Cr do the roundings on the way add up to a whole step: L differs from Y
// only where a channel is clamped. So luma is decoded to where the grey is wanted, and only blocks
// that come near black or white by as much as their colour reaches are converted, in place.
//
// Upsampling. libjpeg's triangle filter weighs a chroma sample 3 to 1 with its neighbour on the
// pixel's side, in each direction that is halved. 4:2:2 adds 1/4 for even and 2/4 for odd columns
// and truncates; 4:2:0 takes both directions before it adds 8/16 for even and 7/16 for odd columns.
// Beyond the first and last sample, of a row and of the picture, that sample is repeated. Rows of
// one or two samples are not filtered so and not for this class.
//
// Rows come by libjpeg's iMCU rows. In 4:2:0 the last luma row of one needs the first chroma row of
// the next: luma stays in a ring of rows, and the last chroma row is kept.
#pragma once

#ifdef POSTGRES_H
#error "postgres.h belongs to src/pg only"
#endif

#include "codec/image.h"
#include "codec/ycc_kernels.h"
#include "simd/isa.h"

#include <array>
#include <cstdint>
#include <vector>

namespace vamhash {

/// The sizes of a picture's planes.
struct YccShape {
    ChromaSampling sampling;
    std::uint32_t width;
    std::uint32_t height;
    std::uint32_t chroma_width;
    std::uint32_t chroma_height;
    std::uint32_t luma_rows; // of an iMCU row: 8, 16, 24 or 32
};

/// An instruction set's kernels, or nullptr where it has none: RGB by libjpeg is faster then.
const YccKernels* ycc_kernels(Isa isa);

/// Takes the planes of one picture and gives a sink its grey.
class YccGrey {
  public:
    YccGrey(const YccShape& shape, const YccKernels& kernels);

    /// Where the next iMCU row goes: an array of row pointers for each of Y, Cb and Cr. Rows have
    /// room for whole blocks of 8 samples.
    std::uint8_t*** planes();

    /// Takes that iMCU row, and gives the sink what rows are complete: groups of 16 but at the end.
    void take(GreySink& sink);

  private:
    void take_chroma();
    void convert(std::uint32_t end);

    YccShape shape_;
    YccKernels kernels_;
    std::size_t blocks_;
    std::size_t luma_stride_;
    std::uint32_t ring_rows_;
    std::uint32_t chroma_rows_;      // of an iMCU row
    std::uint32_t taken_ = 0;        // luma rows
    std::uint32_t converted_ = 0;    // of these
    std::uint32_t given_ = 0;        // to the sink
    std::vector<std::uint8_t> luma_; // row r at r % ring_rows_
    std::vector<std::uint8_t> chroma_samples_;
    std::vector<ChromaRow> chroma_; // the last row of the iMCU row before, then this one's
    std::vector<std::uint8_t*> y_rows_;
    std::vector<std::uint8_t*> cb_rows_;
    std::vector<std::uint8_t*> cr_rows_;
    std::array<std::uint8_t**, 3> planes_{};
};

} // namespace vamhash
