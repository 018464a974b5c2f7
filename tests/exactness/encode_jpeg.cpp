// Writes the JPEGs that Pillow cannot: any sampling factors, colour space, scan script, component
// ids, arithmetic coding, 16-bit tables.
//
//   encode_jpeg WIDTH HEIGHT COMPONENTS [key=value ...] < samples > file.jpg
//
// Samples are 8-bit, interleaved, top row first: grey, RGB or CMYK by COMPONENTS. Keys:
//   space=grey|ycbcr|rgb|cmyk|ycck   what the file holds (default by COMPONENTS)
//   sampling=2x2,1x1,1x1             factors of each component, horizontal x vertical
//   quality=1..100  baseline=0|1     baseline=0 lets table entries exceed 8 bits
//   progressive=1                    libjpeg's own progressive script
//   scans=0,1,2:0:0:0:1;0:1:5:0:2    components:Ss:Se:Ah:Al of each scan
//   arithmetic=1  optimise=1  restart=MCUS  ids=1,2,3  adobe=0|1  jfif=0|1
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <jpeglib.h>

namespace {

using Options = std::map<std::string, std::string>;

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) {
        parts.push_back(part);
    }
    return parts;
}

Options parse_options(int argc, char** argv) {
    Options options;
    for (int i = 4; i < argc; ++i) {
        const std::string argument = argv[i];
        const std::size_t equals = argument.find('=');
        if (equals == std::string::npos) {
            throw std::runtime_error("not key=value: " + argument);
        }
        options[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
    return options;
}

/// Takes a key out of the options, so that what is left over is an unknown key.
std::string take(Options& options, const std::string& key, const std::string& fallback) {
    const auto node = options.extract(key);
    return node.empty() ? fallback : node.mapped();
}

int take_number(Options& options, const std::string& key, int fallback) {
    return std::stoi(take(options, key, std::to_string(fallback)));
}

J_COLOR_SPACE colour_space(const std::string& name) {
    static const std::map<std::string, J_COLOR_SPACE> spaces = {{"grey", JCS_GRAYSCALE},
                                                                {"ycbcr", JCS_YCbCr},
                                                                {"rgb", JCS_RGB},
                                                                {"cmyk", JCS_CMYK},
                                                                {"ycck", JCS_YCCK}};
    return spaces.at(name);
}

std::vector<jpeg_scan_info> parse_scans(const std::string& text) {
    std::vector<jpeg_scan_info> scans;
    for (const std::string& line : split(text, ';')) {
        const std::vector<std::string> fields = split(line, ':');
        if (fields.size() != 5) {
            throw std::runtime_error("not components:Ss:Se:Ah:Al: " + line);
        }
        jpeg_scan_info scan{};
        for (const std::string& component : split(fields[0], ',')) {
            if (scan.comps_in_scan == MAX_COMPS_IN_SCAN) {
                throw std::runtime_error("too many components in a scan: " + line);
            }
            scan.component_index[scan.comps_in_scan++] = std::stoi(component);
        }
        scan.Ss = std::stoi(fields[1]);
        scan.Se = std::stoi(fields[2]);
        scan.Ah = std::stoi(fields[3]);
        scan.Al = std::stoi(fields[4]);
        scans.push_back(scan);
    }
    return scans;
}

/// Sets everything but the scan script, whose storage belongs to the caller.
void set_parameters(jpeg_compress_struct& jpeg, Options& options) {
    static const char* const natural_space[] = {"", "grey", "", "ycbcr", "cmyk"};
    jpeg_set_colorspace(&jpeg,
                        colour_space(take(options, "space", natural_space[jpeg.input_components])));
    jpeg_set_quality(&jpeg, take_number(options, "quality", 80),
                     take_number(options, "baseline", 1) != 0 ? TRUE : FALSE);

    int component = 0;
    for (const std::string& factors : split(take(options, "sampling", ""), ',')) {
        const std::vector<std::string> both = split(factors, 'x');
        jpeg.comp_info[component].h_samp_factor = std::stoi(both.at(0));
        jpeg.comp_info[component].v_samp_factor = std::stoi(both.at(1));
        ++component;
    }
    component = 0;
    for (const std::string& id : split(take(options, "ids", ""), ',')) {
        jpeg.comp_info[component++].component_id = std::stoi(id);
    }

    if (take_number(options, "progressive", 0) != 0) {
        jpeg_simple_progression(&jpeg);
    }
    jpeg.arith_code = take_number(options, "arithmetic", 0) != 0 ? TRUE : FALSE;
    jpeg.optimize_coding = take_number(options, "optimise", 0) != 0 ? TRUE : FALSE;
    jpeg.restart_interval = static_cast<unsigned>(take_number(options, "restart", 0));
    jpeg.write_Adobe_marker =
        take_number(options, "adobe", jpeg.write_Adobe_marker) != 0 ? TRUE : FALSE;
    jpeg.write_JFIF_header =
        take_number(options, "jfif", jpeg.write_JFIF_header) != 0 ? TRUE : FALSE;
}

/// Encodes stdin to stdout; libjpeg's own error routine ends the program on an impossible request.
void encode(int width, int height, int components, Options options) {
    jpeg_compress_struct jpeg{};
    jpeg_error_mgr errors{};
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, stdout);

    static const J_COLOR_SPACE input_space[] = {JCS_UNKNOWN, JCS_GRAYSCALE, JCS_UNKNOWN, JCS_RGB,
                                                JCS_CMYK};
    jpeg.image_width = static_cast<JDIMENSION>(width);
    jpeg.image_height = static_cast<JDIMENSION>(height);
    jpeg.input_components = components;
    jpeg.in_color_space = input_space[components];
    jpeg_set_defaults(&jpeg);
    set_parameters(jpeg, options);
    const std::vector<jpeg_scan_info> scans = parse_scans(take(options, "scans", ""));
    if (!scans.empty()) {
        jpeg.scan_info = scans.data();
        jpeg.num_scans = static_cast<int>(scans.size());
    }
    if (!options.empty()) {
        throw std::runtime_error("unknown key: " + options.begin()->first);
    }

    jpeg_start_compress(&jpeg, TRUE);
    std::vector<std::uint8_t> row(static_cast<std::size_t>(width) * components);
    while (jpeg.next_scanline < jpeg.image_height) {
        if (std::fread(row.data(), 1, row.size(), stdin) != row.size()) {
            throw std::runtime_error("too few samples");
        }
        JSAMPROW rows[] = {row.data()};
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
}

} // namespace

int main(int argc, char** argv) {
    try {
        if (argc < 4) {
            throw std::runtime_error("WIDTH HEIGHT COMPONENTS [key=value ...]");
        }
        const int components = std::stoi(argv[3]);
        if (components != 1 && components != 3 && components != 4) {
            throw std::runtime_error("components are 1, 3 or 4");
        }
        encode(std::stoi(argv[1]), std::stoi(argv[2]), components, parse_options(argc, argv));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "encode_jpeg: %s\n", error.what());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
