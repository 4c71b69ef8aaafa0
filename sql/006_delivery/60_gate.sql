-- The gate of delivery.

SELECT iu.fn_iu_gate_register(6, 'iu_core.delivery_enabled', 'governable', 'Live delivery along routes');
