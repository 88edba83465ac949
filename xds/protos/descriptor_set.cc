#include "xds/protos/descriptor_set.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/gzip_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cstdio>
#include <cstdlib>

// The compressed set, put into the executable by xds/protos/library.
extern "C" {
extern const char remora_api_descriptors_begin[];
extern const char remora_api_descriptors_end[];
}

namespace remora::xds {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptorSet;

const DescriptorPool* BuildPool() {
  google::protobuf::io::ArrayInputStream compressed(
      remora_api_descriptors_begin,
      static_cast<int>(remora_api_descriptors_end - remora_api_descriptors_begin));
  google::protobuf::io::GzipInputStream plain(&compressed);
  FileDescriptorSet set;
  auto* pool = new DescriptorPool;
  bool good = set.ParseFromZeroCopyStream(&plain);
  // The set lists imports before the files that need them.
  for (const auto& file : set.file()) {
    good = good && pool->BuildFile(file) != nullptr;
  }
  if (!good) {
    std::fputs("remora: the descriptors it was built with are damaged\n", stderr);
    std::abort();
  }
  return pool;
}

}  // namespace

const DescriptorPool& ApiDescriptors() {
  static const DescriptorPool* const pool = BuildPool();
  return *pool;
}

}  // namespace remora::xds
