// The header map: what filters and routes do with it.
#include "filters/api/headers.h"

#include <benchmark/benchmark.h>

#include "filters/api/arena.h"

namespace remora {
namespace {

void Fill(Headers& headers) {
  headers.set_pseudo_static(HeaderId::kMethod, "GET");
  headers.set_pseudo_static(HeaderId::kPath, "/api/v1/items/42");
  headers.set_pseudo_static(HeaderId::kAuthority, "catalog.example");
  headers.Add("user-agent", "curl/8.0");
  headers.Add("accept", "*/*");
  headers.Add("accept-encoding", "gzip, deflate, br");
  headers.Add("x-request-id", "5e3f2b8a-0000-4000-8000-000000000000");
  headers.Add("x-forwarded-for", "10.0.0.1");
  headers.Add("x-tenant", "blue");
  headers.Add("cookie", "session=0123456789abcdef");
}

void HeadersFill(benchmark::State& state) {
  Arena arena;
  for (auto _ : state) {
    Headers headers(&arena);
    Fill(headers);
    benchmark::DoNotOptimize(headers);
    arena.Reset();
  }
}
BENCHMARK(HeadersFill);

void HeadersFindInterned(benchmark::State& state) {
  Arena arena;
  Headers headers(&arena);
  Fill(headers);
  for (auto _ : state) {
    benchmark::DoNotOptimize(headers.Find(HeaderId::kXForwardedFor));
    benchmark::DoNotOptimize(headers.Find(HeaderId::kXEnvoyRetryOn));  // absent
  }
}
BENCHMARK(HeadersFindInterned);

void HeadersFindByText(benchmark::State& state) {
  Arena arena;
  Headers headers(&arena);
  Fill(headers);
  for (auto _ : state) {
    benchmark::DoNotOptimize(headers.Find("x-tenant"));
    benchmark::DoNotOptimize(headers.Find("x-not-there"));
  }
}
BENCHMARK(HeadersFindByText);

void HeadersSetAndRemove(benchmark::State& state) {
  Arena arena;
  for (auto _ : state) {
    Headers headers(&arena);
    Fill(headers);
    headers.Set(HeaderId::kXForwardedFor, "10.0.0.1,10.0.0.2");
    headers.SetReference(HeaderId::kXForwardedProto, "http");
    headers.Remove(HeaderId::kXEnvoyInternal);
    headers.RemovePrefix("x-envoy-");
    arena.Reset();
  }
}
BENCHMARK(HeadersSetAndRemove);

void LookUpName(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(LookUpHeader("content-type"));
    benchmark::DoNotOptimize(LookUpHeader("x-unknown-name"));
  }
}
BENCHMARK(LookUpName);

}  // namespace
}  // namespace remora
