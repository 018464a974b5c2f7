// How formats are told apart by content, and what is said of those that cannot be read: because
// this build lacks a library, or the machine it runs on does.
#include "codec/format.h"
#include "codec/picture_plugin.h"
#include "made_image.h"
#include "plugin/beside_program.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace vamhash {
namespace {

std::string_view name_of(const Bytes& image) {
    const Format* const format = recognise(image);
    return format == nullptr ? "" : format->name;
}

TEST(Format, NoneIsUnsupported) {
    const auto message_of = [](std::string_view bytes) {
        std::string message;
        EXPECT_EQ(status_of(text_bytes(bytes), {}, &message), ImageStatus::unsupported);
        return message;
    };
    EXPECT_EQ(message_of("Hello"), "not a recognised image format");
    EXPECT_EQ(message_of("RIFF1234WAVE"), "not a recognised image format");
    std::string message;
    EXPECT_EQ(status_of({}, {}, &message), ImageStatus::truncated);
    EXPECT_EQ(message, "image is empty");
}

/// The first box of a HEIF file, and what may follow it.
Bytes file_type(std::string_view brand, std::initializer_list<std::string_view> compatible) {
    Bytes data = joined({text_bytes("ftyp"), text_bytes(brand), Bytes(4)});
    for (const std::string_view other : compatible) {
        data = joined({data, text_bytes(other)});
    }
    return joined({{0, 0, 0, static_cast<std::uint8_t>(data.size() + 4)}, data, Bytes(32)});
}

TEST(Format, HeicAndAvifByTheirBrands) {
    EXPECT_EQ(name_of(file_type("heic", {"mif1", "avif"})), "heic");
    EXPECT_EQ(name_of(file_type("heix", {})), "heic");
    EXPECT_EQ(name_of(file_type("hevc", {})), "heic");
    EXPECT_EQ(name_of(file_type("avif", {"mif1", "heic"})), "avif");
    EXPECT_EQ(name_of(file_type("avis", {})), "avif");
    for (const char* general : {"mif1", "msf1"}) {
        EXPECT_EQ(name_of(file_type(general, {"mif1", "heic", "avif"})), "heic");
        EXPECT_EQ(name_of(file_type(general, {"mif1", "miaf", "avif"})), "avif");
        EXPECT_EQ(name_of(file_type(general, {"avis"})), "avif");
        EXPECT_EQ(name_of(file_type(general, {})), "heic");
    }
    // A brand behind the box does not count, nor one that is cut off.
    EXPECT_EQ(name_of(joined({file_type("mif1", {}), text_bytes("avif")})), "heic");
    Bytes cut = file_type("mif1", {"avif"});
    cut.resize(18);
    EXPECT_EQ(name_of(cut), "heic");
    EXPECT_EQ(name_of(file_type("crx ", {})), "raw");
    EXPECT_EQ(name_of(file_type("mp42", {"isom"})), "");
}

TEST(Format, WhatTheBuildLacksIsNamed) {
    const Format without{.name = "jp2", .title = "JPEG 2000", .missing_library = "OpenJPEG"};
    const ImageError error = no_codec_error(without);
    EXPECT_EQ(error.status(), ImageStatus::unsupported);
    EXPECT_STREQ(error.what(),
                 "JPEG 2000 images cannot be read by this build: it was made without OpenJPEG");
    EXPECT_STREQ(no_codec_error({.name = "jp2", .title = "JPEG 2000"}).what(),
                 "JPEG 2000 images cannot be read by this build");
}

TEST(Format, EveryFormatIsReadOrSaysWhatIsMissing) {
    for (const std::string_view start :
         {"\xFF\xD8\xFF", "\x89PNG\r\n\x1A\n", "RIFF1234WEBP", "GIF89a", "II*\1", "1234ftypheic",
          "1234ftypavif", "FUJIFILMCCD-RAW "}) {
        Bytes image = text_bytes(start);
        if (start == "II*\1") {
            image.back() = 0; // a string ends at 0
        }
        const Format* const format = recognise(image);
        ASSERT_NE(format, nullptr) << start;
        EXPECT_NE(format->decode == nullptr, format->missing_library.empty()) << format->name;
    }
}

TEST(Format, WhatAPluginLacksIsNamed) {
    const Format format{.name = "jp2", .title = "JPEG 2000"};
    PicturePlugin plugin("vamhash_no_such.so", "OpenJPEG");
    EXPECT_EQ(plugin.path(), path_beside_program("vamhash_no_such.so"));
    plugin.load();
    PictureSink sink;
    for (int i = 0; i < 2; ++i) {
        try {
            plugin.decode(format, {}, {}, sink);
            ADD_FAILURE() << "decoded";
        } catch (const ImageError& error) {
            EXPECT_EQ(error.status(), ImageStatus::unsupported);
            EXPECT_EQ(
                error.what(),
                "JPEG 2000 image cannot be read by this build: OpenJPEG could not be loaded: " +
                    plugin.path() + ": cannot open shared object file: No such file or directory");
        }
    }
}

/// What a program run by the shell prints, its errors included.
std::string output_of(const std::string& command) {
    std::FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
    std::string output;
    std::array<char, 256> part{};
    while (std::fgets(part.data(), part.size(), pipe) != nullptr) {
        output += part.data();
    }
    pclose(pipe);
    return output;
}

// An engine in a folder without its plugins.
TEST(Format, WhatAnInstallationLacksIsNamed) {
    std::string name = (std::filesystem::temp_directory_path() / "engine.XXXXXX").string();
    const std::filesystem::path folder = mkdtemp(name.data());
    const std::string engine = folder / "vamhash-engine";
    std::filesystem::copy_file(VAMHASH_ENGINE, engine);
    const auto hash = [&](const std::string& image) {
        return output_of(engine + " hash " + VAMHASH_TEST_DATA + "/" + image);
    };
    struct Case {
        const char* image;
        const char* title;
        const char* library;
        const char* plugin;
    };
    for (const Case& missing : {Case{"heic-lossless.heic", "HEIC", "libheif", "vamhash_heif.so"},
                                {"avif-lossless.avif", "AVIF", "libheif", "vamhash_heif.so"},
                                {"raw-levels.dng", "camera RAW", "LibRaw", "vamhash_raw.so"}}) {
        const std::string path = std::string("plugin_images/") + missing.image;
        const Format* const format = recognise(test_image(path));
        ASSERT_NE(format, nullptr);
        const std::string told = hash(path);
        const std::string file = folder / missing.plugin;
        const std::string expected =
            format->decode == nullptr
                ? std::string(missing.title) +
                      " images cannot be read by this build: it was made without " + missing.library
                : std::string(missing.title) +
                      " image cannot be read by this build: " + missing.library +
                      " could not be loaded: " + file +
                      ": cannot open shared object file: No such file or directory";
        EXPECT_EQ(told, std::string(VAMHASH_TEST_DATA) + "/" + path + ": " + expected + "\n");
    }
    EXPECT_TRUE(hash("images/jpeg-size_8x8.jpg").ends_with("jpeg-size_8x8.jpg\n"));
    EXPECT_EQ(hash("images/jpeg-size_8x8.jpg").find("cannot"), std::string::npos);
    std::filesystem::remove_all(folder);
}

} // namespace
} // namespace vamhash
