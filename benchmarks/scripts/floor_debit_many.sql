select floor.debit_many(array(select (random() * 9999)::int + 1 from generate_series(1, 500)), 1000);
