#ifndef REMORA_PROXY_CODEC_HTTP2_MEMORY_H_
#define REMORA_PROXY_CODEC_HTTP2_MEMORY_H_

#include <nghttp2/nghttp2.h>

namespace remora::proxy {

// The allocator nghttp2 is given: free lists of the calling thread by size class, so that streams,
// frames and header buffers cost no heap allocation after warm-up. Sizes beyond the largest class
// go to the heap.
//
// Threads: what one thread allocated it must free.
nghttp2_mem* PooledHttp2Memory();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP2_MEMORY_H_
