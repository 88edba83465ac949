// Brotli by Google's library.
#include <brotli/decode.h>
#include <brotli/encode.h>

#include <utility>

#include "envoy/extensions/compression/brotli/compressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/brotli/decompressor/v3/brotli.pb.h"
#include "filters/compression.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace compressor = envoy::extensions::compression::brotli::compressor::v3;
namespace decompressor = envoy::extensions::compression::brotli::decompressor::v3;

constexpr absl::string_view kEncoding = "br";
constexpr absl::string_view kStatName = "brotli.";

struct Settings {
  uint32_t quality = 3;
  uint32_t window_bits = 18;
  uint32_t block_bits = 24;
  bool no_context_modeling = false;
  BrotliEncoderMode mode = BROTLI_DEFAULT_MODE;
};

class Encoder final : public Transcoder {
 public:
  explicit Encoder(const Settings& settings)
      : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, settings.quality);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, settings.window_bits);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGBLOCK, settings.block_bits);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING,
                              settings.no_context_modeling ? 1 : 0);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_MODE, settings.mode);
  }
  ~Encoder() override { BrotliEncoderDestroyInstance(state_); }

  void Process(Body& body, bool finish) override {
    Body out;
    body.ForEachRun([&](absl::string_view run) { Run(BROTLI_OPERATION_PROCESS, run, out); });
    Run(finish ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH, {}, out);
    body.Swap(out);
  }

 private:
  void Run(BrotliEncoderOperation operation, absl::string_view run, Body& out) {
    const auto* next_in = reinterpret_cast<const uint8_t*>(run.data());
    size_t left = run.size();
    do {
      const Body::Room room = out.Reserve();
      auto* next_out = reinterpret_cast<uint8_t*>(room.data);
      size_t space = room.size;
      const bool good = BrotliEncoderCompressStream(state_, operation, &left, &next_in, &space,
                                                    &next_out, nullptr) == BROTLI_TRUE;
      out.Commit(room.size - space);
      if (!good) return;
    } while (left > 0 || BrotliEncoderHasMoreOutput(state_) == BROTLI_TRUE);
  }

  BrotliEncoderState* state_;
};

class BrotliCompressor final : public CompressionLibrary {
 public:
  explicit BrotliCompressor(const compressor::Brotli& proto) {
    if (proto.has_quality()) settings_.quality = proto.quality().value();
    if (proto.has_window_bits()) settings_.window_bits = proto.window_bits().value();
    if (proto.has_input_block_bits()) settings_.block_bits = proto.input_block_bits().value();
    settings_.no_context_modeling = proto.disable_literal_context_modeling();
    switch (proto.encoder_mode()) {
      case compressor::Brotli::GENERIC:
        settings_.mode = BROTLI_MODE_GENERIC;
        break;
      case compressor::Brotli::TEXT:
        settings_.mode = BROTLI_MODE_TEXT;
        break;
      case compressor::Brotli::FONT:
        settings_.mode = BROTLI_MODE_FONT;
        break;
      default:
        break;
    }
  }
  absl::string_view encoding() const override { return kEncoding; }
  absl::string_view stat_name() const override { return kStatName; }
  std::unique_ptr<Transcoder> Make() const override { return std::make_unique<Encoder>(settings_); }

 private:
  Settings settings_;
};

class Decoder final : public Transcoder {
 public:
  explicit Decoder(bool fixed_ring)
      : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
    BrotliDecoderSetParameter(state_, BROTLI_DECODER_PARAM_DISABLE_RING_BUFFER_REALLOCATION,
                              fixed_ring ? 1 : 0);
  }
  ~Decoder() override { BrotliDecoderDestroyInstance(state_); }

  void Process(Body& body, bool /*finish*/) override {
    Body out;
    body.ForEachRun([&](absl::string_view run) { Run(run, out); });
    body.Swap(out);
  }
  DecompressionTroubles TakeTroubles() override { return std::exchange(troubles_, {}); }

 private:
  void Run(absl::string_view run, Body& out) {
    const auto* next_in = reinterpret_cast<const uint8_t*>(run.data());
    size_t left = run.size();
    while (!ended_) {
      const Body::Room room = out.Reserve();
      auto* next_out = reinterpret_cast<uint8_t*>(room.data);
      size_t space = room.size;
      const BrotliDecoderResult result =
          BrotliDecoderDecompressStream(state_, &left, &next_in, &space, &next_out, nullptr);
      out.Commit(room.size - space);
      taken_ += run.size();
      given_ += room.size - space;
      if (result == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT) return;
      if (result == BROTLI_DECODER_RESULT_ERROR || given_ > kMostRatio * taken_) {
        ++troubles_.data_errors;
        ended_ = true;
      }
      if (result == BROTLI_DECODER_RESULT_SUCCESS) ended_ = true;
    }
  }

  // So much out of so little is meant to exhaust whoever opens it.
  static constexpr uint64_t kMostRatio = 4096;
  BrotliDecoderState* state_;
  uint64_t taken_ = 0;
  uint64_t given_ = 0;
  bool ended_ = false;
  DecompressionTroubles troubles_;
};

class BrotliDecompressor final : public CompressionLibrary {
 public:
  explicit BrotliDecompressor(const decompressor::Brotli& proto)
      : fixed_ring_(proto.disable_ring_buffer_reallocation()) {}
  absl::string_view encoding() const override { return kEncoding; }
  absl::string_view stat_name() const override { return kStatName; }
  std::unique_ptr<Transcoder> Make() const override {
    return std::make_unique<Decoder>(fixed_ring_);
  }

 private:
  bool fixed_ring_;
};

template <typename Proto, typename Library>
absl::StatusOr<std::shared_ptr<const CompressionLibrary>> Make(absl::string_view config) {
  absl::StatusOr<Proto> proto = DecodeConfig<Proto>(config);
  if (!proto.ok()) return proto.status();
  return std::make_shared<Library>(*proto);
}

}  // namespace

CompressionLibraryType BrotliCompressorType() {
  return {"envoy.extensions.compression.brotli.compressor.v3.Brotli",
          &Make<compressor::Brotli, BrotliCompressor>};
}

CompressionLibraryType BrotliDecompressorType() {
  return {"envoy.extensions.compression.brotli.decompressor.v3.Brotli",
          &Make<decompressor::Brotli, BrotliDecompressor>};
}

}  // namespace remora
