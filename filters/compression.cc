#include "filters/compression.h"

#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/extension.pb.h"

namespace remora {
namespace {

using Proto = envoy::config::core::v3::TypedExtensionConfig;

absl::StatusOr<std::shared_ptr<const CompressionLibrary>> Find(
    const Proto& proto, absl::Span<const CompressionLibraryType> types) {
  const std::string& url = proto.typed_config().type_url();
  const absl::string_view name = absl::string_view(url).substr(url.rfind('/') + 1);
  for (const CompressionLibraryType& type : types) {
    if (type.type_name == name) return type.make(proto.typed_config().value());
  }
  return absl::InvalidArgumentError(absl::StrCat("Didn't find a registered implementation for '",
                                                 proto.name(), "' with type URL: '", name, "'"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressionLibrary>> CompressionLibrary::Compressor(
    const Proto& proto) {
  const CompressionLibraryType types[] = {GzipCompressorType(), BrotliCompressorType(),
                                          ZstdCompressorType()};
  return Find(proto, types);
}

absl::StatusOr<std::shared_ptr<const CompressionLibrary>> CompressionLibrary::Decompressor(
    const Proto& proto) {
  const CompressionLibraryType types[] = {GzipDecompressorType(), BrotliDecompressorType(),
                                          ZstdDecompressorType()};
  return Find(proto, types);
}

}  // namespace remora
