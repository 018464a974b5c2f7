// Where the device has units that decode JPEGs, they get all files that they take, as one batch.
// Others are decoded one after another by nvJPEG's general decoder.
#include "plugin/nvjpeg_decoder.h"

#include <cstring>
#include <dlfcn.h>
#include <nvjpeg.h>
#include <stdexcept>
#include <vector>

namespace vamhash::plugin {

namespace {

const std::string library_name = "libnvjpeg.so." + std::to_string(NVJPEG_VER_MAJOR);

struct HostMemory {
    void operator()(unsigned char* memory) const { cudaFreeHost(memory); }
};

const char* text_of(nvjpegStatus_t status) {
    switch (status) {
    case NVJPEG_STATUS_NOT_INITIALIZED:
        return "not initialized";
    case NVJPEG_STATUS_INVALID_PARAMETER:
        return "invalid parameter";
    case NVJPEG_STATUS_BAD_JPEG:
        return "bad JPEG";
    case NVJPEG_STATUS_JPEG_NOT_SUPPORTED:
        return "JPEG not supported";
    case NVJPEG_STATUS_ALLOCATOR_FAILURE:
        return "allocator failure";
    case NVJPEG_STATUS_EXECUTION_FAILED:
        return "execution failed";
    case NVJPEG_STATUS_ARCH_MISMATCH:
        return "not for this device";
    case NVJPEG_STATUS_IMPLEMENTATION_NOT_SUPPORTED:
        return "implementation not supported";
    case NVJPEG_STATUS_INCOMPLETE_BITSTREAM:
        return "incomplete bitstream";
    default:
        return "internal error";
    }
}

/// Whether a device's units take files that are sampled so.
bool is_for_units(nvjpegChromaSubsampling_t sampling) {
    return sampling == NVJPEG_CSS_444 || sampling == NVJPEG_CSS_422 || sampling == NVJPEG_CSS_420 ||
           sampling == NVJPEG_CSS_440 || sampling == NVJPEG_CSS_GRAY;
}

/// Whether a status says something of a file, and nothing of the device: of a failed execution the
/// stream knows.
bool is_of_file(nvjpegStatus_t status, cudaStream_t stream) {
    if (status == NVJPEG_STATUS_EXECUTION_FAILED) {
        return cudaStreamSynchronize(stream) == cudaSuccess;
    }
    return status == NVJPEG_STATUS_BAD_JPEG || status == NVJPEG_STATUS_JPEG_NOT_SUPPORTED ||
           status == NVJPEG_STATUS_INVALID_PARAMETER || status == NVJPEG_STATUS_INTERNAL_ERROR ||
           status == NVJPEG_STATUS_IMPLEMENTATION_NOT_SUPPORTED ||
           status == NVJPEG_STATUS_INCOMPLETE_BITSTREAM;
}

} // namespace

/// The library, and what it has for all queues.
struct NvJpegDecoder::Library {
    /// The functions of the library that are used.
    struct Calls {
        decltype(&nvjpegGetProperty) get_property;
        decltype(&nvjpegCreateEx) create;
        decltype(&nvjpegDestroy) destroy;
        decltype(&nvjpegJpegStateCreate) create_state;
        decltype(&nvjpegJpegStateDestroy) destroy_state;
        decltype(&nvjpegJpegStreamCreate) create_header;
        decltype(&nvjpegJpegStreamDestroy) destroy_header;
        decltype(&nvjpegJpegStreamParseHeader) parse_header;
        decltype(&nvjpegJpegStreamGetFrameDimensions) get_size;
        decltype(&nvjpegJpegStreamGetComponentDimensions) get_component_size;
        decltype(&nvjpegJpegStreamGetChromaSubsampling) get_sampling;
        decltype(&nvjpegDecodeBatchedSupported) is_unsupported;
        decltype(&nvjpegDecodeBatchedInitialize) begin_batch;
        decltype(&nvjpegDecodeBatched) decode_batch;
        decltype(&nvjpegDecode) decode;
    };

    Library();
    ~Library() { release(); }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    template <typename Function>
    void find(Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(handle, name));
        if (function == nullptr) {
            throw std::runtime_error(dlerror());
        }
    }

    [[nodiscard]] nvjpegChromaSubsampling_t sampling_of(const JpegFile& file,
                                                        const unsigned char* bytes) const;
    void require_version() const;
    void release() const;

    /// By which headers are read.
    [[nodiscard]] nvjpegHandle_t header_handle() const {
        return units != nullptr ? units : general;
    }

    void* handle; // of what stays loaded
    Calls calls{};
    nvjpegHandle_t general = nullptr;
    nvjpegHandle_t units = nullptr; // null: the device has none
    nvjpegJpegStream_t header = nullptr;
};

NvJpegDecoder::Library::Library()
    : handle(dlopen(library_name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) {
    if (handle == nullptr) {
        throw std::runtime_error(dlerror());
    }
    find(calls.get_property, "nvjpegGetProperty");
    find(calls.create, "nvjpegCreateEx");
    find(calls.destroy, "nvjpegDestroy");
    find(calls.create_state, "nvjpegJpegStateCreate");
    find(calls.destroy_state, "nvjpegJpegStateDestroy");
    find(calls.create_header, "nvjpegJpegStreamCreate");
    find(calls.destroy_header, "nvjpegJpegStreamDestroy");
    find(calls.parse_header, "nvjpegJpegStreamParseHeader");
    find(calls.get_size, "nvjpegJpegStreamGetFrameDimensions");
    find(calls.get_component_size, "nvjpegJpegStreamGetComponentDimensions");
    find(calls.get_sampling, "nvjpegJpegStreamGetChromaSubsampling");
    find(calls.is_unsupported, "nvjpegDecodeBatchedSupported");
    find(calls.begin_batch, "nvjpegDecodeBatchedInitialize");
    find(calls.decode_batch, "nvjpegDecodeBatched");
    find(calls.decode, "nvjpegDecode");

    require_version();
    nvjpegStatus_t status =
        calls.create(NVJPEG_BACKEND_DEFAULT, nullptr, nullptr, NVJPEG_FLAGS_DEFAULT, &general);
    if (status == NVJPEG_STATUS_SUCCESS) {
        if (calls.create(NVJPEG_BACKEND_HARDWARE, nullptr, nullptr, NVJPEG_FLAGS_DEFAULT, &units) !=
            NVJPEG_STATUS_SUCCESS) {
            units = nullptr;
        }
        status = calls.create_header(header_handle(), &header);
    }
    cudaGetLastError(); // a later launch would tell it again
    if (status != NVJPEG_STATUS_SUCCESS) {
        release();
        throw std::runtime_error(library_name + ": " + text_of(status));
    }
}

/// Earlier ones crash on the EXIF data of some files, by NVIDIA's own account.
void NvJpegDecoder::Library::require_version() const {
    int major = 0;
    int minor = 0;
    int patch = 0;
    calls.get_property(MAJOR_VERSION, &major);
    calls.get_property(MINOR_VERSION, &minor);
    calls.get_property(PATCH_LEVEL, &patch);
    if (std::array{major, minor, patch} < std::array{12, 2, 2}) {
        throw std::runtime_error(library_name + " is of version " + std::to_string(major) + "." +
                                 std::to_string(minor) + "." + std::to_string(patch) +
                                 ", before 12.2.2");
    }
}

void NvJpegDecoder::Library::release() const {
    if (header != nullptr) {
        calls.destroy_header(header);
    }
    for (nvjpegHandle_t decoder : {units, general}) {
        if (decoder != nullptr) {
            calls.destroy(decoder);
        }
    }
}

/// A file that is decoded, from the copy of its bytes.
struct NvJpegDecoder::Output {
    JpegFile* file;
    const unsigned char* bytes;
    nvjpegImage_t image;
};

/// What one queue has of its own, as long as its last files are being decoded.
struct NvJpegDecoder::Queue {
    explicit Queue(const Library& library) : library(library) {
        nvjpegStatus_t status = library.calls.create_state(library.general, &general);
        if (status == NVJPEG_STATUS_SUCCESS && library.units != nullptr) {
            status = library.calls.create_state(library.units, &units);
        }
        if (status != NVJPEG_STATUS_SUCCESS) {
            release();
            throw std::runtime_error(std::string("nvjpegJpegStateCreate: ") + text_of(status));
        }
    }
    ~Queue() { release(); }
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    void release() const {
        for (nvjpegJpegState_t state : {general, units}) {
            if (state != nullptr) {
                library.calls.destroy_state(state);
            }
        }
    }

    const Library& library;
    nvjpegJpegState_t general = nullptr;
    nvjpegJpegState_t units = nullptr;
    std::unique_ptr<unsigned char, HostMemory> copies;
    std::size_t room = 0;        // for copies
    std::vector<Output> batch;   // for the units
    std::vector<Output> singles; // for the general decoder
    std::vector<const unsigned char*> batch_bytes;
    std::vector<std::size_t> batch_sizes;
    std::vector<nvjpegImage_t> batch_images;
};

NvJpegDecoder::NvJpegDecoder() : library_(std::make_unique<Library>()) {
    for (std::unique_ptr<Queue>& queue : queues_) {
        queue = std::make_unique<Queue>(*library_);
    }
}

NvJpegDecoder::~NvJpegDecoder() = default;

/// What a call's status means for the device, where it is not of a file.
DeviceStatus NvJpegDecoder::check(int status, const char* call) {
    if (status == NVJPEG_STATUS_SUCCESS) {
        return DeviceStatus::done;
    }
    fault_ = std::string(call) + ": " + text_of(static_cast<nvjpegStatus_t>(status));
    if (status != NVJPEG_STATUS_ALLOCATOR_FAILURE) {
        return DeviceStatus::failed;
    }
    cudaGetLastError(); // a later launch would tell it again
    return DeviceStatus::out_of_memory;
}

/// How the file is sampled whose header was read last, if that is as it should be: the picture is
/// one whose luma is its grey, and has the size that there is room for.
nvjpegChromaSubsampling_t NvJpegDecoder::Library::sampling_of(const JpegFile& file,
                                                              const unsigned char* bytes) const {
    unsigned width = 0;
    unsigned height = 0;
    unsigned luma_width = 0;
    unsigned luma_height = 0;
    nvjpegChromaSubsampling_t sampling = NVJPEG_CSS_UNKNOWN;
    const bool is_as_said =
        calls.parse_header(header_handle(), bytes, file.size, header) == NVJPEG_STATUS_SUCCESS &&
        calls.get_size(header, &width, &height) == NVJPEG_STATUS_SUCCESS &&
        calls.get_component_size(header, 0, &luma_width, &luma_height) == NVJPEG_STATUS_SUCCESS &&
        calls.get_sampling(header, &sampling) == NVJPEG_STATUS_SUCCESS && width == file.width &&
        height == file.height && luma_width == width && luma_height == height;
    return is_as_said ? sampling : NVJPEG_CSS_UNKNOWN;
}

/// Copies the files, once those before them are decoded.
DeviceStatus NvJpegDecoder::copy(Queue& queue, cudaStream_t stream, JpegFile* files,
                                 std::size_t count) {
    cudaError_t error = cudaStreamSynchronize(stream);
    std::size_t size = 0;
    for (std::size_t i = 0; i < count; ++i) {
        size += files[i].size;
    }
    if (error == cudaSuccess && size > queue.room) {
        queue.copies.reset();
        queue.room = 0;
        void* memory = nullptr;
        error = cudaHostAlloc(&memory, size, cudaHostAllocDefault);
        queue.copies.reset(static_cast<unsigned char*>(memory));
        queue.room = error == cudaSuccess ? size : 0;
    }
    if (error != cudaSuccess) {
        cudaGetLastError();
        fault_ = std::string("JPEG files: ") + cudaGetErrorString(error);
        return error == cudaErrorMemoryAllocation ? DeviceStatus::out_of_memory
                                                  : DeviceStatus::failed;
    }
    unsigned char* next = queue.copies.get();
    for (std::size_t i = 0; i < count; ++i) {
        std::memcpy(next, files[i].bytes, files[i].size);
        next += files[i].size;
    }
    return DeviceStatus::done;
}

DeviceStatus NvJpegDecoder::decode(std::uint32_t queue, cudaStream_t stream, char* memory,
                                   JpegFile* files, std::size_t count) {
    Queue& own = *queues_[queue];
    const DeviceStatus copied = copy(own, stream, files, count);
    if (copied != DeviceStatus::done) {
        return copied;
    }
    own.batch.clear();
    own.singles.clear();
    const unsigned char* bytes = own.copies.get();
    for (std::size_t i = 0; i < count; bytes += files[i].size, ++i) {
        files[i].decoded = 0;
        const nvjpegChromaSubsampling_t sampling = library_->sampling_of(files[i], bytes);
        if (sampling == NVJPEG_CSS_UNKNOWN) {
            continue;
        }
        Output output{&files[i], bytes, {}};
        output.image.channel[0] = reinterpret_cast<unsigned char*>(memory) + files[i].offset;
        output.image.pitch[0] = files[i].width;
        int is_unsupported = 1;
        if (library_->units != nullptr && is_for_units(sampling)) {
            library_->calls.is_unsupported(library_->units, library_->header, &is_unsupported);
        }
        (is_unsupported == 0 ? own.batch : own.singles).push_back(output);
    }
    DeviceStatus status = decode_batch(own, stream, own.batch.size());
    for (std::size_t i = 0; i < own.singles.size() && status == DeviceStatus::done; ++i) {
        status = decode_one(own, stream, own.singles[i]);
    }
    return status;
}

/// Decodes what the device's units take; one by one where they do not take one of them after all.
DeviceStatus NvJpegDecoder::decode_batch(Queue& queue, cudaStream_t stream, std::size_t count) {
    if (count == 0) {
        return DeviceStatus::done;
    }
    queue.batch_bytes.clear();
    queue.batch_sizes.clear();
    queue.batch_images.clear();
    for (const Output& output : queue.batch) {
        queue.batch_bytes.push_back(output.bytes);
        queue.batch_sizes.push_back(output.file->size);
        queue.batch_images.push_back(output.image);
    }
    const Library::Calls& calls = library_->calls;
    nvjpegStatus_t status = calls.begin_batch(library_->units, queue.units, static_cast<int>(count),
                                              1, NVJPEG_OUTPUT_Y);
    if (status == NVJPEG_STATUS_SUCCESS) {
        status = calls.decode_batch(library_->units, queue.units, queue.batch_bytes.data(),
                                    queue.batch_sizes.data(), queue.batch_images.data(), stream);
    }
    if (is_of_file(status, stream)) {
        queue.singles.insert(queue.singles.end(), queue.batch.begin(), queue.batch.end());
        return DeviceStatus::done;
    }
    for (const Output& output : queue.batch) {
        output.file->decoded = status == NVJPEG_STATUS_SUCCESS ? 1 : 0;
    }
    return check(status, "nvjpegDecodeBatched");
}

DeviceStatus NvJpegDecoder::decode_one(Queue& queue, cudaStream_t stream, Output& output) {
    const nvjpegStatus_t status =
        library_->calls.decode(library_->general, queue.general, output.bytes, output.file->size,
                               NVJPEG_OUTPUT_Y, &output.image, stream);
    output.file->decoded = status == NVJPEG_STATUS_SUCCESS ? 1 : 0;
    return is_of_file(status, stream) ? DeviceStatus::done : check(status, "nvjpegDecode");
}

} // namespace vamhash::plugin
