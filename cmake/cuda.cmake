# The CUDA backend's place in the build: sets MICA_HAS_CUDA, enables the language CUDA, and defines
# mica_cuda_library(). Included from the top folder after cmake/mica.cmake. docs/cuda.md tells users.
set(MICA_CUDA AUTO CACHE STRING "The CUDA backend: AUTO (where nvcc 12.8 or newer is), ON, OFF")
set_property(CACHE MICA_CUDA PROPERTY STRINGS AUTO ON OFF)
set(MICA_CUDA_ARCHITECTURES "" CACHE STRING
    "GPUs to compile for, such as 80;90a;120a, or all; empty: this machine's GPU, else 90a;120a")

# Code and PTX of 90a, 100a and 120a serve that GPU only. The driver compiles the PTX of 9.0, the
# oldest with griddepcontrol, for every other one of 9.0 and later; all of 8.x have code.
set(mica_all_architectures 80-real 86-real 89-real 90a-real 100a-real 120a-real 90-virtual)

# Ends with a reason where CUDA is asked for and can't be; else only says so.
function(mica_no_cuda reason)
  if(MICA_CUDA STREQUAL "AUTO")
    message(STATUS "CUDA backend: off: ${reason}")
  else()
    message(FATAL_ERROR "MICA_CUDA=${MICA_CUDA}: ${reason}")
  endif()
  set(MICA_HAS_CUDA OFF PARENT_SCOPE)
endfunction()

# The architectures of this machine's GPUs, or empty.
function(mica_present_architectures result)
  find_program(NVIDIA_SMI nvidia-smi)
  set(found "")
  if(NVIDIA_SMI)
    execute_process(COMMAND ${NVIDIA_SMI} --query-gpu=compute_cap --format=csv,noheader
                    OUTPUT_VARIABLE output RESULT_VARIABLE status ERROR_QUIET)
    if(status EQUAL 0)
      string(REGEX MATCHALL "[0-9]+\\.[0-9]" found "${output}")
      string(REPLACE "." "" found "${found}")
      list(REMOVE_DUPLICATES found)
    endif()
  endif()
  execute_process(COMMAND ${MICA_NVCC} --list-gpu-arch OUTPUT_VARIABLE known ERROR_QUIET)
  set(architectures "")
  foreach(architecture IN LISTS found)
    if(architecture LESS 80)
      message(STATUS "CUDA backend: this machine's GPU of ${architecture} is too old, 8.0 is needed")
    elseif(NOT known MATCHES "compute_${architecture}\n")
      list(APPEND architectures 90-virtual)  # newer than nvcc
    elseif(architecture LESS 90)
      list(APPEND architectures ${architecture}-real)
    else()
      list(APPEND architectures ${architecture}a-real)
    endif()
  endforeach()
  set(${result} "${architectures}" PARENT_SCOPE)
endfunction()

# nvcc's options for a list in CMake's notation: 90a-real, 90-virtual (PTX), 80 (both). CMake's own
# handling of 90a and of nvcc 13 differs from version to version.
function(mica_gencode architectures result)
  set(options "")
  foreach(architecture IN LISTS architectures)
    if(NOT architecture MATCHES "^([0-9]+)([af]?)(-real|-virtual)?$")
      message(FATAL_ERROR "MICA_CUDA_ARCHITECTURES: '${architecture}' is none; 90a-real is one")
    endif()
    set(name "${CMAKE_MATCH_1}${CMAKE_MATCH_2}")
    set(code "[compute_${name},sm_${name}]")
    if(CMAKE_MATCH_3 STREQUAL "-virtual")
      set(code "compute_${name}")
    elseif(CMAKE_MATCH_3 STREQUAL "-real" OR CMAKE_MATCH_2)
      set(code "sm_${name}")
    endif()
    if(CMAKE_MATCH_1 LESS 80)
      message(FATAL_ERROR "MICA_CUDA_ARCHITECTURES: '${architecture}': 80 is the oldest")
    endif()
    list(APPEND options "--generate-code=arch=compute_${name},code=${code}")
  endforeach()
  set(${result} "${options}" PARENT_SCOPE)
endfunction()

# nvcc in the path, in CUDA's environment variables, or where NVIDIA's packages put it.
function(mica_find_nvcc)
  set(nvcc "${CMAKE_CUDA_COMPILER}")
  if(NOT nvcc)
    set(nvcc "$ENV{CUDACXX}")
  endif()
  if(NOT nvcc)
    find_program(MICA_NVCC_FOUND nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda
                 PATH_SUFFIXES bin)
    if(MICA_NVCC_FOUND)
      set(nvcc ${MICA_NVCC_FOUND})
    endif()
  endif()
  set(MICA_NVCC "${nvcc}" PARENT_SCOPE)
endfunction()

# Sets nvcc_fault to what keeps this nvcc from compiling a kernel for these GPUs, or to nothing.
function(mica_try_nvcc)
  set(fault "")
  execute_process(COMMAND ${MICA_NVCC} --version OUTPUT_VARIABLE text ERROR_VARIABLE text)
  string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" match "${text}")
  set(version "${CMAKE_MATCH_1}")
  if(NOT version OR version VERSION_LESS 12.8)
    set(fault "${MICA_NVCC} says it is of version '${version}', 12.8 is needed")
  else()
    set(folder ${CMAKE_BINARY_DIR}/CMakeFiles/mica_cuda)
    file(WRITE ${folder}/check.cu "#include <cublasLt.h>\n__global__ void check() {}\n")
    execute_process(
      COMMAND ${MICA_NVCC} ${mica_cuda_flags} ${mica_gencode} -c check.cu -o check.o
      WORKING_DIRECTORY ${folder} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(NOT status EQUAL 0)
      set(fault "${MICA_NVCC} can't compile (see docs/cuda.md for what is needed):\n${text}")
    endif()
  endif()
  set(nvcc_fault "${fault}" PARENT_SCOPE)
  set(nvcc_version "${version}" PARENT_SCOPE)
endfunction()

set(MICA_HAS_CUDA OFF)
if(MICA_CUDA AND MICA_SANITIZE)
  mica_no_cuda("sanitizers and nvcc don't go together")
elseif(MICA_CUDA)
  mica_find_nvcc()
  if(NOT MICA_NVCC)
    mica_no_cuda("no nvcc in the path nor in /usr/local/cuda/bin")
  else()
    set(MICA_HAS_CUDA ON)
  endif()
endif()

if(MICA_HAS_CUDA)
  set(mica_architectures ${MICA_CUDA_ARCHITECTURES})
  if(mica_architectures STREQUAL "all")
    set(mica_architectures ${mica_all_architectures})
  elseif(NOT mica_architectures)
    mica_present_architectures(mica_architectures)
    if(NOT mica_architectures)
      set(mica_architectures 90a-real 120a-real)
    endif()
  endif()
  mica_gencode("${mica_architectures}" mica_gencode)
  if(NOT CMAKE_CUDA_HOST_COMPILER)
    set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
  endif()
  set(mica_cuda_flags -std=c++20 -ccbin ${CMAKE_CUDA_HOST_COMPILER})
  set(tried "${MICA_NVCC} ${mica_cuda_flags} ${mica_gencode}")
  if(NOT MICA_NVCC_TRIED STREQUAL tried)
    mica_try_nvcc()
    if(nvcc_fault)
      mica_no_cuda("${nvcc_fault}")
    else()
      set(MICA_NVCC_TRIED "${tried}" CACHE INTERNAL "the nvcc command that compiled the check")
      set(MICA_NVCC_VERSION "${nvcc_version}" CACHE INTERNAL "")
    endif()
  endif()
endif()

if(MICA_HAS_CUDA)
  set(CMAKE_CUDA_COMPILER ${MICA_NVCC})
  set(CMAKE_CUDA_ARCHITECTURES OFF)  # mica_gencode names them
  enable_language(CUDA)
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)  # CUDA::cudart_static where it is used
  find_package(CUDAToolkit REQUIRED)
  # Places in the source for profilers; the package leaves them out.
  string(REPLACE "-g" "-g1 -lineinfo" CMAKE_CUDA_FLAGS_RELWITHDEBINFO
                 "${CMAKE_CUDA_FLAGS_RELWITHDEBINFO}")
  list(JOIN mica_architectures " " mica_architecture_names)
  message(STATUS "CUDA backend: nvcc ${MICA_NVCC_VERSION} for ${mica_architecture_names}")
endif()

# mica_device_test(NAME SOURCES … DEPENDS …): tests that $MICA_TEST_DEVICE may send to a GPU. A build
# without CUDA has a program test_NAME of them. One with CUDA has them all in a single program,
# test_device, since each would hold its own copy of the kernels.
function(mica_device_test name)
  if(NOT MICA_HAS_CUDA)
    mica_test(${name} ${ARGN})
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set_property(GLOBAL APPEND PROPERTY MICA_DEVICE_TEST_SOURCES ${ARG_SOURCES})
  set_property(GLOBAL APPEND PROPERTY MICA_DEVICE_TEST_DEPENDS ${ARG_DEPENDS})
endfunction()

# The program test_device, after the last mica_device_test(). ctest runs it in parts, side by side.
function(mica_device_test_program)
  if(NOT (MICA_HAS_CUDA AND MICA_TESTS))
    return()
  endif()
  get_property(sources GLOBAL PROPERTY MICA_DEVICE_TEST_SOURCES)
  get_property(depends GLOBAL PROPERTY MICA_DEVICE_TEST_DEPENDS)
  list(REMOVE_DUPLICATES depends)
  mica_test_program(device SOURCES ${sources} DEPENDS ${depends})
  target_link_libraries(test_device PRIVATE CUDA::cudart_static)
  set_target_properties(test_device PROPERTIES MICA_CUDA ON)
  set(parts 4)
  foreach(part RANGE 1 ${parts})
    math(EXPR index "${part} - 1")
    add_test(NAME device_${part} COMMAND test_device)
    set_tests_properties(device_${part} PROPERTIES TIMEOUT 900
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${parts};GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()

# mica_cuda_library(NAME SOURCES a.cu … DEPENDS …): a library that nvcc compiles. Beside each object
# lies the compiler's report of its kernels, OBJECT.report, for the test compile_gates.
function(mica_cuda_library name)
  mica_library(${name} ${ARGN})
  set(warnings "")
  if(MICA_WERROR)
    set(warnings "SHELL:-Werror all-warnings")
  endif()
  # FMT_USE_CONSTEXPR: fmt 9 drops constexpr under nvcc and then does not compile as C++20.
  target_compile_options(mica_${name} PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:${mica_gencode};-DFMT_USE_CONSTEXPR=1;SHELL:-Xptxas -v;${warnings}>")
  set_target_properties(mica_${name} PROPERTIES
    CUDA_COMPILER_LAUNCHER "${CMAKE_SOURCE_DIR}/cmake/nvcc_report.sh;${CCACHE_PROGRAM}")
endfunction()
