#ifndef REMORA_FILTERS_COMPRESSION_H_
#define REMORA_FILTERS_COMPRESSION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "filters/api/body.h"
#include "filters/api/filter.h"

namespace envoy::config::core::v3 {
class TypedExtensionConfig;
}

namespace remora {

// What happened while bytes were taken apart that are not what they claim to be.
struct DecompressionTroubles {
  uint64_t data_errors = 0;
  uint64_t buffer_errors = 0;
};

// One message's bytes made small, or large again. Threads: the stream's.
class Transcoder {
 public:
  virtual ~Transcoder() = default;
  // Replaces `body` by what comes out of it. With `finish` all that is left comes out; without, a
  // compressor flushes, so that what was said can be read at the other end.
  virtual void Process(Body& body, bool finish) = 0;
  virtual DecompressionTroubles TakeTroubles() { return {}; }
};

// A library with its settings; it outlives what it makes. Threads: const, shared.
class CompressionLibrary {
 public:
  virtual ~CompressionLibrary() = default;
  virtual absl::string_view encoding() const = 0;   // of content-encoding: "br"
  virtual absl::string_view stat_name() const = 0;  // "brotli."
  virtual std::unique_ptr<Transcoder> Make() const = 0;

  static absl::StatusOr<std::shared_ptr<const CompressionLibrary>> Compressor(
      const envoy::config::core::v3::TypedExtensionConfig& proto);
  static absl::StatusOr<std::shared_ptr<const CompressionLibrary>> Decompressor(
      const envoy::config::core::v3::TypedExtensionConfig& proto);
};

// How a library is made of its typed configuration: a row each.
struct CompressionLibraryType {
  absl::string_view type_name;
  absl::StatusOr<std::shared_ptr<const CompressionLibrary>> (*make)(absl::string_view config);
};
CompressionLibraryType GzipCompressorType();
CompressionLibraryType GzipDecompressorType();
CompressionLibraryType BrotliCompressorType();
CompressionLibraryType BrotliDecompressorType();
CompressionLibraryType ZstdCompressorType();
CompressionLibraryType ZstdDecompressorType();

}  // namespace remora

#endif  // REMORA_FILTERS_COMPRESSION_H_
