// What the gateway costs against the bare engine, in one run, as ratios: latency of GET /_ping and of containers/json
// with many own containers on a real engine; MB/s of large bodies with a synthetic engine, since a real one is slower
// than either path. Pairs are taken in turn, so that both see the same machine.
//
//   DOCKER_HOST=unix:///… build/release-perf/gateway_perf [containers] [MiB]
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "docker/base/log.h"
#include "docker/base/secret.h"
#include "docker/engine/http_engine.h"
#include "docker/gateway/gateway.h"
#include "tests/perf/wire.h"

namespace ebbtide::perf {
namespace {

constexpr const char* kOwner = "perf";
constexpr int kPairs = 5;

std::string scratch_folder() {
  const auto folder = std::filesystem::temp_directory_path() / ("ebbtide-perf-" + random_hex(4));
  std::filesystem::create_directories(folder);
  return folder;
}

// An engine watched, and a gateway to it for one owner.
class Bench {
 public:
  Bench(const std::string& engine_uri, const std::string& folder)
      : engine_(make_http_engine(address_of(engine_uri))),
        watch_(engine_, std::make_shared<Store>(Database::in_memory()), "perf-" + random_hex(4)),
        host_(watch_, 2) {
    watch_.start({});
    const auto opened = host_.open({.owner = kOwner, .directory = folder + "/gateway"});
    if (!opened) give_up(opened.error().message);
    socket_ = folder + "/gateway/docker.sock";
  }
  ~Bench() { host_.close(kOwner); }

  const std::string& socket() const { return socket_; }
  EngineWatch& watch() { return watch_; }

 private:
  static EngineAddress address_of(const std::string& uri) {
    const auto address = EngineAddress::parse(uri);
    if (!address) give_up(address.error().message);
    return *address;
  }

  std::shared_ptr<Engine> engine_;
  EngineWatch watch_;
  gateway::GatewayHost host_;
  std::string socket_;
};

void compare_latency(const char* what, const std::string& direct, const std::string& gateway, const std::string& target,
                     int requests) {
  std::vector<double> samples[2];
  Client clients[2] = {Client(direct), Client(gateway)};
  for (int i = 0; i < requests; ++i)
    for (int side = 0; side < 2; ++side) samples[side].push_back(seconds([&] { clients[side].get(target); }) * 1e6);
  const auto bare = spread_of(samples[0]);
  const auto through = spread_of(samples[1]);
  std::printf("%-34s engine p50 %8.0f us p99 %8.0f us   gateway p50 %8.0f us p99 %8.0f us   ratio %.2f (p99 %.2f)\n",
              what, bare.p50, bare.p99, through.p50, through.p99, through.p50 / bare.p50, through.p99 / bare.p99);
}

void compare_rate(const char* what, double mib, const std::function<void(Client&)>& move, const std::string& direct,
                  const std::string& gateway) {
  std::vector<double> ratios;
  std::vector<double> rates[2];
  for (int pair = 0; pair < kPairs; ++pair) {
    double rate[2];
    for (int side = 0; side < 2; ++side) {
      Client client(side == 0 ? direct : gateway);
      rate[side] = mib * 1.048576 / seconds([&] { move(client); });
      rates[side].push_back(rate[side]);
    }
    ratios.push_back(rate[1] / rate[0]);
  }
  std::printf("%-34s engine %8.0f MB/s   gateway %8.0f MB/s   ratio %.2f\n", what, spread_of(rates[0]).p50,
              spread_of(rates[1]).p50, spread_of(ratios).p50);
}

void make_containers(Bench& bench, int count) {
  auto& watch = bench.watch();
  for (int i = 0; i < count; ++i) {
    const auto name = "perf-" + random_hex(6);
    const nlohmann::json body{
        {"Image", "ebbtide-test/busybox:1"},
        {"Labels", ownership_labels(watch.server_id(), kOwner, Role::kBelonging, Kind::kContainer, name, name)},
        {"HostConfig", {{"NetworkMode", "none"}}}};
    const auto made = watch.engine().create_container(name, body);
    if (!made) give_up(made.error().message);
  }
  if (const auto listed = watch.resync(); !listed) give_up(listed.error().message);
}

void on_real_engine(const char* uri, int containers) {
  const auto folder = scratch_folder();
  Bench bench(uri, folder);
  const std::string direct = EngineAddress::parse(uri)->path;
  if (const auto listed = bench.watch().resync(); !listed) give_up(listed.error().message);
  compare_latency("GET /_ping", direct, bench.socket(), "/_ping", 3000);
  compare_latency("GET /version", direct, bench.socket(), "/v1.41/version", 300);
  make_containers(bench, containers);
  const auto what = "containers/json, " + std::to_string(containers) + " own";
  compare_latency(what.c_str(), direct, bench.socket(), "/v1.41/containers/json?all=1", 20);
  const auto reaped = reap(bench.watch(), kOwner, {});
  if (!reaped || !reaped->complete()) give_up("the containers of the measurement could not be removed");
  std::filesystem::remove_all(folder);
}

void on_synthetic_engine(std::uint64_t mib) {
  const auto folder = scratch_folder();
  {
    SyntheticEngine engine(folder + "/engine.sock", mib << 20);
    Bench bench("unix://" + engine.path(), folder);
    const auto size = static_cast<double>(mib);
    compare_rate(
        "answer of known length", size, [](Client& c) { c.get("/v1.41/images/fixed/get"); }, engine.path(),
        bench.socket());
    compare_rate(
        "chunked answer", size, [](Client& c) { c.get("/v1.41/images/chunked/get"); }, engine.path(), bench.socket());
    compare_rate(
        "upload", size, [mib](Client& c) { c.upload("/v1.41/images/load", mib << 20); }, engine.path(), bench.socket());
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ebbtide::perf

int main(int argc, char** argv) {
  ebbtide::configure_log(ebbtide::LogFormat::kText, ebbtide::LogLevel::kError);
  const int containers = argc > 1 ? std::atoi(argv[1]) : 1000;
  const int mib = argc > 2 ? std::atoi(argv[2]) : 1024;
  ebbtide::perf::on_synthetic_engine(static_cast<std::uint64_t>(mib));
  if (const char* uri = std::getenv("DOCKER_HOST"))
    ebbtide::perf::on_real_engine(uri, containers);
  else
    std::puts("no DOCKER_HOST: nothing measured on a real engine");
}
