/* In place of mypyc's import of `librt.vecs`; build_backend/unboxed_arrays.py puts it there. */

#include <vecs/librt_vecs_api.h>

VecI64API VecI64Api;
VecFloatAPI VecFloatApi;

PyTypeObject VecType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "vec",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
};

PyObject *Vec_GenericRepr(PyObject *vec, size_t Py_UNUSED(item_type), size_t Py_UNUSED(depth), int Py_UNUSED(verbose))
{
    PyObject *items = PySequence_List(vec);
    PyObject *text = items == NULL ? NULL : PyObject_Repr(items);
    Py_XDECREF(items);
    return text;
}

int import_librt_vecs(void)
{
    PyTypeObject *types[] = {
        &VecType, &VecI64Type, &VecI64BufType, &VecI64IterType, &VecFloatType, &VecFloatBufType, &VecFloatIterType,
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (PyType_Ready(types[i]) < 0)
            return -1;
    VecI64Api = Vec_I64API;
    VecFloatApi = Vec_FloatAPI;
    return 0;
}
