// Zstandard by its library.
#include <zstd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "envoy/extensions/compression/zstd/compressor/v3/zstd.pb.h"
#include "envoy/extensions/compression/zstd/decompressor/v3/zstd.pb.h"
#include "filters/compression.h"
#include "filters/data_source.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace compressor = envoy::extensions::compression::zstd::compressor::v3;
namespace decompressor = envoy::extensions::compression::zstd::decompressor::v3;

constexpr absl::string_view kEncoding = "zstd";
constexpr absl::string_view kStatName = "zstd.";

struct Settings {
  int level = ZSTD_CLEVEL_DEFAULT;
  bool checksum = false;
  int strategy = 0;
  std::string dictionary;
};

class Encoder final : public Transcoder {
 public:
  explicit Encoder(const Settings& settings) : context_(ZSTD_createCCtx()) {
    ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, settings.level);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, settings.checksum ? 1 : 0);
    if (settings.strategy != 0) {
      ZSTD_CCtx_setParameter(context_, ZSTD_c_strategy, settings.strategy);
    }
    if (!settings.dictionary.empty()) {
      ZSTD_CCtx_loadDictionary(context_, settings.dictionary.data(), settings.dictionary.size());
    }
  }
  ~Encoder() override { ZSTD_freeCCtx(context_); }

  void Process(Body& body, bool finish) override {
    Body out;
    body.ForEachRun([&](absl::string_view run) { Run(ZSTD_e_continue, run, out); });
    Run(finish ? ZSTD_e_end : ZSTD_e_flush, {}, out);
    body.Swap(out);
  }

 private:
  void Run(ZSTD_EndDirective directive, absl::string_view run, Body& out) {
    ZSTD_inBuffer input = {run.data(), run.size(), 0};
    for (;;) {
      const Body::Room room = out.Reserve();
      ZSTD_outBuffer output = {room.data, room.size, 0};
      const size_t left = ZSTD_compressStream2(context_, &output, &input, directive);
      out.Commit(output.pos);
      if (ZSTD_isError(left) != 0) return;
      if (directive == ZSTD_e_continue ? input.pos == input.size : left == 0) return;
    }
  }

  ZSTD_CCtx* context_;
};

class ZstdCompressor final : public CompressionLibrary {
 public:
  explicit ZstdCompressor(Settings settings) : settings_(std::move(settings)) {}
  absl::string_view encoding() const override { return kEncoding; }
  absl::string_view stat_name() const override { return kStatName; }
  std::unique_ptr<Transcoder> Make() const override { return std::make_unique<Encoder>(settings_); }

 private:
  Settings settings_;
};

class Decoder final : public Transcoder {
 public:
  explicit Decoder(const std::vector<std::string>* dictionaries)
      : context_(ZSTD_createDCtx()), dictionaries_(dictionaries) {}
  ~Decoder() override { ZSTD_freeDCtx(context_); }

  void Process(Body& body, bool /*finish*/) override {
    Body out;
    body.ForEachRun([&](absl::string_view run) { Run(run, out); });
    body.Swap(out);
  }
  DecompressionTroubles TakeTroubles() override { return std::exchange(troubles_, {}); }

 private:
  // The frame says which dictionary it was made with.
  void ChooseDictionary(absl::string_view run) {
    const unsigned wanted = ZSTD_getDictID_fromFrame(run.data(), run.size());
    for (const std::string& dictionary : *dictionaries_) {
      if (ZSTD_getDictID_fromDict(dictionary.data(), dictionary.size()) != wanted) continue;
      ZSTD_DCtx_loadDictionary(context_, dictionary.data(), dictionary.size());
      return;
    }
  }

  void Run(absl::string_view run, Body& out) {
    if (!std::exchange(begun_, true)) ChooseDictionary(run);
    ZSTD_inBuffer input = {run.data(), run.size(), 0};
    while (!failed_) {
      const Body::Room room = out.Reserve();
      ZSTD_outBuffer output = {room.data, room.size, 0};
      const size_t result = ZSTD_decompressStream(context_, &output, &input);
      out.Commit(output.pos);
      given_ += output.pos;
      if (ZSTD_isError(result) != 0 || given_ > kMostRatio * (taken_ + input.pos)) {
        ++troubles_.data_errors;
        failed_ = true;
      }
      if (input.pos == input.size && output.pos < output.size) break;
    }
    taken_ += run.size();
  }

  // So much out of so little is meant to exhaust whoever opens it.
  static constexpr uint64_t kMostRatio = 4096;
  ZSTD_DCtx* context_;
  const std::vector<std::string>* dictionaries_;
  uint64_t taken_ = 0;
  uint64_t given_ = 0;
  bool begun_ = false;
  bool failed_ = false;
  DecompressionTroubles troubles_;
};

class ZstdDecompressor final : public CompressionLibrary {
 public:
  explicit ZstdDecompressor(std::vector<std::string> dictionaries)
      : dictionaries_(std::move(dictionaries)) {}
  absl::string_view encoding() const override { return kEncoding; }
  absl::string_view stat_name() const override { return kStatName; }
  std::unique_ptr<Transcoder> Make() const override {
    return std::make_unique<Decoder>(&dictionaries_);
  }

 private:
  std::vector<std::string> dictionaries_;
};

absl::StatusOr<std::shared_ptr<const CompressionLibrary>> MakeCompressor(absl::string_view config) {
  absl::StatusOr<compressor::Zstd> proto = DecodeConfig<compressor::Zstd>(config);
  if (!proto.ok()) return proto.status();
  Settings settings;
  if (proto->has_compression_level()) {
    settings.level = static_cast<int>(proto->compression_level().value());
  }
  settings.checksum = proto->enable_checksum();
  settings.strategy = proto->strategy();
  absl::StatusOr<std::string> dictionary = ReadDataSource(proto->dictionary());
  if (!dictionary.ok()) return dictionary.status();
  settings.dictionary = *std::move(dictionary);
  return std::make_shared<ZstdCompressor>(std::move(settings));
}

absl::StatusOr<std::shared_ptr<const CompressionLibrary>> MakeDecompressor(
    absl::string_view config) {
  absl::StatusOr<decompressor::Zstd> proto = DecodeConfig<decompressor::Zstd>(config);
  if (!proto.ok()) return proto.status();
  std::vector<std::string> dictionaries;
  for (const auto& source : proto->dictionaries()) {
    absl::StatusOr<std::string> dictionary = ReadDataSource(source);
    if (!dictionary.ok()) return dictionary.status();
    dictionaries.push_back(*std::move(dictionary));
  }
  return std::make_shared<ZstdDecompressor>(std::move(dictionaries));
}

}  // namespace

CompressionLibraryType ZstdCompressorType() {
  return {"envoy.extensions.compression.zstd.compressor.v3.Zstd", &MakeCompressor};
}

CompressionLibraryType ZstdDecompressorType() {
  return {"envoy.extensions.compression.zstd.decompressor.v3.Zstd", &MakeDecompressor};
}

}  // namespace remora
