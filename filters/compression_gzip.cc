// gzip by zlib.
#include <zlib.h>

#include <utility>

#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "filters/compression.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace compressor = envoy::extensions::compression::gzip::compressor::v3;
namespace decompressor = envoy::extensions::compression::gzip::decompressor::v3;

constexpr int kGzipFormat = 16;  // zlib: added to the window's bits
constexpr absl::string_view kEncoding = "gzip";
constexpr absl::string_view kStatName = "gzip.";
constexpr uint32_t kDefaultWindowBits = 12;
constexpr uint32_t kDefaultMemoryLevel = 5;
constexpr uint32_t kDefaultInflateRatio = 100;

class Deflater final : public Transcoder {
 public:
  Deflater(int level, int window_bits, int memory_level, int strategy) {
    deflateInit2(&stream_, level, Z_DEFLATED, window_bits + kGzipFormat, memory_level, strategy);
  }
  ~Deflater() override { deflateEnd(&stream_); }

  void Process(Body& body, bool finish) override {
    Body out;
    body.ForEachRun([&](absl::string_view run) {
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(run.data()));
      stream_.avail_in = static_cast<uInt>(run.size());
      Run(Z_NO_FLUSH, out);
    });
    stream_.avail_in = 0;
    Run(finish ? Z_FINISH : Z_SYNC_FLUSH, out);
    body.Swap(out);
  }

 private:
  void Run(int flush, Body& out) {
    do {
      const Body::Room room = out.Reserve();
      stream_.next_out = reinterpret_cast<Bytef*>(room.data);
      stream_.avail_out = static_cast<uInt>(room.size);
      deflate(&stream_, flush);
      out.Commit(room.size - stream_.avail_out);
    } while (stream_.avail_out == 0);
  }

  z_stream stream_ = {};
};

class GzipCompressor final : public CompressionLibrary {
 public:
  explicit GzipCompressor(const compressor::Gzip& proto)
      : window_bits_(proto.has_window_bits() ? proto.window_bits().value() : kDefaultWindowBits),
        memory_level_(proto.has_memory_level() ? proto.memory_level().value()
                                               : kDefaultMemoryLevel) {
    if (proto.compression_level() != compressor::Gzip::DEFAULT_COMPRESSION) {
      level_ = proto.compression_level();
    }
    switch (proto.compression_strategy()) {
      case compressor::Gzip::FILTERED:
        strategy_ = Z_FILTERED;
        break;
      case compressor::Gzip::HUFFMAN_ONLY:
        strategy_ = Z_HUFFMAN_ONLY;
        break;
      case compressor::Gzip::RLE:
        strategy_ = Z_RLE;
        break;
      case compressor::Gzip::FIXED:
        strategy_ = Z_FIXED;
        break;
      default:
        break;
    }
  }
  absl::string_view encoding() const override { return kEncoding; }
  absl::string_view stat_name() const override { return kStatName; }
  std::unique_ptr<Transcoder> Make() const override {
    return std::make_unique<Deflater>(level_, static_cast<int>(window_bits_),
                                      static_cast<int>(memory_level_), strategy_);
  }

 private:
  uint32_t window_bits_;
  uint32_t memory_level_;
  int level_ = Z_DEFAULT_COMPRESSION;
  int strategy_ = Z_DEFAULT_STRATEGY;
};

class Inflater final : public Transcoder {
 public:
  Inflater(int window_bits, uint64_t most_ratio) : most_ratio_(most_ratio) {
    inflateInit2(&stream_, window_bits + kGzipFormat);
  }
  ~Inflater() override { inflateEnd(&stream_); }

  void Process(Body& body, bool /*finish*/) override {
    Body out;
    body.ForEachRun([&](absl::string_view run) {
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(run.data()));
      stream_.avail_in = static_cast<uInt>(run.size());
      Run(out);
    });
    body.Swap(out);
  }
  DecompressionTroubles TakeTroubles() override { return std::exchange(troubles_, {}); }

 private:
  void Run(Body& out) {
    while (!ended_ && stream_.avail_in > 0) {
      const Body::Room room = out.Reserve();
      stream_.next_out = reinterpret_cast<Bytef*>(room.data);
      stream_.avail_out = static_cast<uInt>(room.size);
      const int result = inflate(&stream_, Z_NO_FLUSH);
      out.Commit(room.size - stream_.avail_out);
      if (result == Z_STREAM_END) {
        ended_ = true;
      } else if (result == Z_BUF_ERROR) {
        return;
      } else if (result != Z_OK) {
        ++troubles_.data_errors;
        return;
      }
      // So much out of so little is meant to exhaust whoever opens it.
      if (stream_.total_out > most_ratio_ * stream_.total_in) {
        ++troubles_.data_errors;
        ended_ = true;
      }
    }
  }

  z_stream stream_ = {};
  uint64_t most_ratio_;
  bool ended_ = false;
  DecompressionTroubles troubles_;
};

class GzipDecompressor final : public CompressionLibrary {
 public:
  explicit GzipDecompressor(const decompressor::Gzip& proto)
      : window_bits_(proto.has_window_bits() ? proto.window_bits().value() : 15),
        most_ratio_(proto.has_max_inflate_ratio() ? proto.max_inflate_ratio().value()
                                                  : kDefaultInflateRatio) {}
  absl::string_view encoding() const override { return kEncoding; }
  absl::string_view stat_name() const override { return kStatName; }
  std::unique_ptr<Transcoder> Make() const override {
    return std::make_unique<Inflater>(static_cast<int>(window_bits_), most_ratio_);
  }

 private:
  uint32_t window_bits_;
  uint32_t most_ratio_;
};

template <typename Proto, typename Library>
absl::StatusOr<std::shared_ptr<const CompressionLibrary>> Make(absl::string_view config) {
  absl::StatusOr<Proto> proto = DecodeConfig<Proto>(config);
  if (!proto.ok()) return proto.status();
  return std::make_shared<Library>(*proto);
}

}  // namespace

CompressionLibraryType GzipCompressorType() {
  return {"envoy.extensions.compression.gzip.compressor.v3.Gzip",
          &Make<compressor::Gzip, GzipCompressor>};
}

CompressionLibraryType GzipDecompressorType() {
  return {"envoy.extensions.compression.gzip.decompressor.v3.Gzip",
          &Make<decompressor::Gzip, GzipDecompressor>};
}

}  // namespace remora
